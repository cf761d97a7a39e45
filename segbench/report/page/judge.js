"use strict";
(() => {
  const { plan, images, maps, classes, deals } = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const live = at("live");

  // A voter enters the circle of deals at a place of their own, and every second one sees the sides swapped, by digits
  // of their number; whoever reads the votes knows both from it.
  const newVoter = () => [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  let voter = newVoter();
  let answers = [];
  let saved = 0;
  let since = 0;
  const start = () => parseInt(voter.slice(0, 8), 16) % deals.length;
  const mirrored = () => parseInt(voter.slice(-1), 16) % 2 === 1;
  const dealOf = (number) => (start() + number) % deals.length;

  const show = () => {
    const number = answers.length;
    const done = number === deals.length;
    at("questions").hidden = done;
    at("end").hidden = !done;
    at("progress").value = number;
    at("count").textContent = `${number} of ${deals.length}`;
    at("undo").disabled = number === 0;
    at("save").disabled = number === 0;
    if (!done) {
      const [image, left, right] = deals[dealOf(number)];
      const sides = mirrored() ? [right, left] : [left, right];
      ["A", "B"].forEach((side, place) => {
        at(`photo${side}`).src = images[image];
        at(`labels${side}`).src = maps[sides[place]];
      });
    }
    since = performance.now();
  };
  const answer = (choice) => {
    if (answers.length === deals.length) return;
    answers.push({ deal: dealOf(answers.length), choice, milliseconds: Math.round(performance.now() - since) });
    show();
    live.textContent = answers.length === deals.length ? "All questions are answered." : `Question ${answers.length + 1} of ${deals.length}.`;
    if (answers.length === deals.length) at("save").focus();
  };
  const undo = () => {
    if (!answers.length) return;
    answers.pop();
    saved = Math.min(saved, answers.length);
    show();
    live.textContent = `Question ${answers.length + 1} again.`;
  };
  const look = (view) => {
    pair.dataset.view = view;
    for (const button of all("[data-view][aria-pressed]")) button.setAttribute("aria-pressed", button.dataset.view === view);
  };

  // A click enlarges both sides around the same place, which follows the pointer; Z does so at the middle.
  const pair = at("pair");
  const aim = (picture, event) => {
    const box = picture.getBoundingClientRect();
    pair.style.setProperty("--x", `${(100 * (event.clientX - box.left)) / box.width}%`);
    pair.style.setProperty("--y", `${(100 * (event.clientY - box.top)) / box.height}%`);
  };
  const toggle = (id, name) => at(id).setAttribute("aria-pressed", pair.classList.toggle(name));
  const enlarge = () => toggle("enlarge", "enlarged");
  const brighten = () => toggle("brighten", "brighter");
  for (const picture of all(".picture")) {
    picture.addEventListener("pointermove", (event) => aim(picture, event));
    picture.addEventListener("click", (event) => {
      aim(picture, event);
      enlarge();
    });
  }

  // The file has a checksum of itself with zeros in the place of the digits, as all files of segbench.
  const MARK = "segbench crc32 ";
  const crc32 = (bytes) => {
    let sum = ~0;
    for (const byte of bytes) {
      sum ^= byte;
      for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
    }
    return (~sum >>> 0).toString(16).padStart(8, "0");
  };
  const seal = (text) => text.replace(`${MARK}00000000`, MARK + crc32(new TextEncoder().encode(text)));
  const isSealed = (text) => {
    const found = text.match(/segbench crc32 ([0-9a-f]{8}) segbench crc32/);
    return found !== null && seal(text.replace(found[1], "00000000")) === text;
  };
  const save = () => {
    if (!answers.length) return;
    const content = { seal: `${MARK}00000000 segbench crc32`, version: 1, plan, voter, name: at("name").value.trim(), answers };
    const address = URL.createObjectURL(new Blob([seal(JSON.stringify(content))], { type: "application/json" }));
    Object.assign(document.createElement("a"), { download: `votes-${plan.slice(0, 6)}-${voter.slice(0, 4)}.json`, href: address }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    saved = answers.length;
    live.textContent = `Saved ${answers.length} answer${answers.length === 1 ? "" : "s"}.`;
  };
  const load = async (file) => {
    try {
      const text = await file.text();
      const content = JSON.parse(text);
      if (content.plan !== plan) throw new Error("these votes are of another page");
      if (!isSealed(text)) throw new Error("it was changed since it was saved");
      ({ voter, answers } = content);
      at("name").value = content.name;
      saved = answers.length;
      show();
      live.textContent = `Going on after ${answers.length} answer${answers.length === 1 ? "" : "s"}.`;
    } catch (error) {
      live.textContent = `${file.name} cannot be used: ${error.message}.`;
    }
  };

  for (const photo of all(".photo")) {
    photo.addEventListener("load", () => photo.parentElement.style.setProperty("--ratio", photo.naturalWidth / photo.naturalHeight));
  }
  for (const [name, colour] of classes) {
    const swatch = document.createElement("span");
    swatch.style.background = colour;
    const item = document.createElement("li");
    item.append(swatch, name);
    at("legend").append(item);
  }
  for (const button of all("[data-choice]")) button.addEventListener("click", () => answer(button.dataset.choice));
  for (const button of all("[data-view][aria-pressed]")) button.addEventListener("click", () => look(button.dataset.view));
  at("enlarge").addEventListener("click", enlarge);
  at("brighten").addEventListener("click", brighten);
  at("undo").addEventListener("click", undo);
  at("save").addEventListener("click", save);
  at("load").addEventListener("change", () => {
    if (at("load").files.length) load(at("load").files[0]);
    at("load").value = "";
  });
  const keys = {
    a: () => answer("left"), arrowleft: () => answer("left"), b: () => answer("right"), arrowright: () => answer("right"),
    "=": () => answer("tie"), u: undo, backspace: undo, s: save, 1: () => look("overlay"), 2: () => look("labels"), 3: () => look("image"), z: enlarge, 4: brighten,
  };
  addEventListener("keydown", (event) => {
    const act = keys[event.key.toLowerCase()];
    if (!act || event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input")) return;
    event.preventDefault();
    act();
  });
  addEventListener("beforeunload", (event) => {
    if (answers.length > saved) event.preventDefault();
  });
  const root = document.documentElement;
  at("theme").addEventListener("click", () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
  });
  show();
})();
