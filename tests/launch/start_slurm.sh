#!/bin/bash
# Starts a SLURM of two nodes on this machine, for tests, as root: bash start_slurm.sh FOLDER
# Debian: apt-get install --no-install-recommends slurm-wlm munge
# FOLDER must be new and its path short, as sockets lie in it. SLURM_CONF=FOLDER/slurm.conf makes its programs use this
# SLURM; FOLDER/*.pid name what is to be killed at the end.
set -eu
folder=$1
host=$(hostname -s)
mkdir -p "$folder"/{keys,state,one,two}
chmod 711 "$folder" "$folder/keys"

(umask 377 && head -c 64 /dev/urandom > "$folder/keys/munge")
munged --force --key-file="$folder/keys/munge" --socket="$folder/munge" --pid-file="$folder/munged.pid" \
    --seed-file="$folder/keys/seed" --log-file="$folder/munged.log"

cat > "$folder/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
KillWait=5
NodeName=one NodeHostname=$host NodeAddr=127.0.0.1 Port=26821 CPUs=2
NodeName=two NodeHostname=$host NodeAddr=127.0.0.1 Port=26822 CPUs=2
PartitionName=main Nodes=one,two Default=YES MaxTime=INFINITE State=UP
END

export SLURM_CONF="$folder/slurm.conf"
slurmctld -c
slurmd -N one
slurmd -N two
for _ in $(seq 300); do
    [ "$(sinfo --noheader --format='%D %T' 2>/dev/null)" = "2 idle" ] && exit 0
    sleep 0.1
done
echo "the nodes did not come up; see $folder/*.log" >&2
exit 1
