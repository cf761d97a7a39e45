"""What `segbench new` copies: a complete package for each kind of component.

Each package works as it stands, under a name of its own (my-net, my-critic, my-loss, my-data), which is replaced on
copying. The folders of losses of other roles than supervised (adversarial, penalty, unlabelled) have the files in which
these differ from loss.
"""
