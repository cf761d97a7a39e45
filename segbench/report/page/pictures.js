// Follows page.js in one script, and uses its `all` and `make`.
(() => {
  // Pictures wait as text in a noscript element, and are made when their details are opened.
  const build = (details) => {
    const waiting = details.querySelector("noscript");
    if (!details.open || !waiting) return;
    const holder = make("div");
    holder.innerHTML = waiting.textContent;
    waiting.replaceWith(holder);
    if (details.matches(".course")) holder.append(...makeStages(holder));
    else details.querySelector(".beside").prepend(makeWipe(details));
    applyFilter();
  };

  // Two pictures of an image in one place: left of the line is one, right of it the other.
  const makeWipe = (details) => {
    const board = details.closest(".pictures");
    const pictures = all(".sheet img", details);
    const nameOf = (image) => [image.closest(".column").dataset.name, image.dataset.kind].filter(Boolean).join(" · ");
    const find = (name, kind) => pictures.find((image) => image.closest(".column").dataset.name === name && image.dataset.kind === kind);
    const choose = (label, first) => {
      const options = pictures.map((image, place) => make("option", { value: place, textContent: nameOf(image) }));
      const select = make("select", {}, ...options);
      select.setAttribute("aria-label", label);
      select.value = Math.max(0, pictures.indexOf(first));
      return select;
    };
    const truth = find("", "truth");
    const left = choose("left of the line", find(board.dataset.worse, "prediction") || truth);
    const right = choose("right of the line", find(board.dataset.better, "prediction") || truth);
    const [below, above] = [make("img"), make("img", { className: "above" })];
    const line = make("span", { className: "line" });
    const stage = make("div", { className: "stage" }, below, above, line);
    const range = make("input", { type: "range", min: 0, max: 100, value: 50, step: 1 });
    range.setAttribute("aria-label", "share of the left picture");
    const wipe = () => {
      above.style.clipPath = `inset(0 0 0 ${range.value}%)`;
      line.style.left = `${range.value}%`;
      range.setAttribute("aria-valuetext", `${range.value} % ${left.selectedOptions[0].textContent}`);
    };
    const show = () => {
      for (const [image, select] of [[below, left], [above, right]]) {
        const chosen = pictures[select.value];
        image.src = chosen.src;
        image.alt = chosen.alt;
        image.width = chosen.width;
        image.height = chosen.height;
      }
      wipe();
    };
    const drag = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const box = stage.getBoundingClientRect();
      range.value = (100 * (event.clientX - box.left)) / box.width;
      wipe();
    };
    for (const type of ["pointerdown", "pointermove"]) stage.addEventListener(type, drag);
    range.addEventListener("input", wipe);
    for (const select of [left, right]) select.addEventListener("change", show);
    pictures.forEach((image, place) => image.addEventListener("click", () => {
      right.value = place;
      show();
    }));
    show();
    const controls = make("div", { className: "controls" }, left, right);
    const hint = "A click on a picture above puts it right of the line; errors and boundaries there lie over the left picture.";
    return make("div", { className: "wipe" }, controls, stage, range, make("p", { className: "note", textContent: hint }));
  };

  // One large grid, and a slider that walks through training.
  const makeStages = (holder) => {
    const grids = all(".sheet img", holder);
    if (grids.length < 2) return [];
    const [large, text] = [make("img"), make("figcaption")];
    const range = make("input", { type: "range", min: 0, max: grids.length - 1, step: 1, value: grids.length - 1 });
    range.setAttribute("aria-label", "when in training");
    const show = () => {
      const chosen = grids[range.value];
      Object.assign(large, { src: chosen.src, alt: chosen.alt, width: chosen.width, height: chosen.height });
      text.textContent = chosen.nextElementSibling.textContent;
      range.setAttribute("aria-valuetext", text.textContent);
    };
    range.addEventListener("input", show);
    show();
    return [make("figure", { className: "wipe" }, large, range, text)];
  };

  // The filter of the page keeps the columns of methods whose names hold it; all where none does.
  const filter = document.getElementById("filter");
  const applyFilter = () => {
    const wanted = filter ? filter.value.trim().toLowerCase() : "";
    for (const sheet of all(".sheet")) {
      const columns = all(".column", sheet).filter((column) => column.dataset.name);
      const kept = columns.filter((column) => column.dataset.name.toLowerCase().includes(wanted));
      for (const column of columns) column.hidden = kept.length > 0 && !kept.includes(column);
    }
  };
  if (filter) filter.addEventListener("input", applyFilter);

  // In which order images stand.
  const orders = {
    "largest differences first": (gain) => -Math.abs(gain),
    "largest gains first": (gain) => -gain,
    "largest losses first": (gain) => gain,
  };
  for (const board of all(".pictures[data-worse]:not([data-worse=''])")) {
    const list = board.querySelector(".images");
    const select = make("select", {}, ...Object.keys(orders).map((name) => make("option", { textContent: name })));
    select.setAttribute("aria-label", "order of images");
    select.addEventListener("change", () => {
      const key = orders[select.value];
      const items = [...list.children].sort((one, other) => key(Number(one.dataset.gain)) - key(Number(other.dataset.gain)));
      list.append(...items);
    });
    list.before(select);
  }

  for (const details of all("details.image")) {
    details.addEventListener("toggle", () => build(details));
    build(details);
  }
})();
