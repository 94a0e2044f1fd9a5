// The controls: made once from what the page holds, then kept in step with its state. Texts are set as texts.
const controls = {
  make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    const { dataset, ...plain } = properties;
    Object.assign(element, plain);
    Object.assign(element.dataset, dataset);
    element.append(...children);
    return element;
  },

  by(id) {
    return document.getElementById(id);
  },

  // The marker of an optimizer, as the picture has it.
  glyph(look, palette, size = 18) {
    const canvas = controls.make("canvas", { className: "glyph" });
    canvas.setAttribute("aria-hidden", "true");
    const fine = 2;
    [canvas.width, canvas.height] = [size * fine, size * fine];
    controls.paintGlyph(canvas, look, palette);
    return canvas;
  },

  paintGlyph(canvas, look, palette) {
    const ctx = canvas.getContext("2d");
    const size = canvas.width;
    ctx.clearRect(0, 0, size, size);
    marks.draw(ctx, look.marker, size / 2, size / 2, 0.62 * size, palette.dark ? look.dark : look.color, palette.paper);
  },

  options(select, entries) {
    select.replaceChildren(...entries.map(([value, text]) => controls.make("option", { value, textContent: text })));
  },

  // One row for each optimizer: on or off, look inside, its numbers. `heard` is told (what, name, number, value).
  list(data, palette, heard) {
    const rows = data.optimizers.map((optimizer) => controls.row(optimizer, palette, heard));
    controls.by("list").replaceChildren(...rows);
  },

  row(optimizer, palette, heard) {
    const box = controls.make("input", { type: "checkbox", onchange: () => heard("on", optimizer.name, null, box.checked) });
    const label = controls.make("label", { title: optimizer.summary }, box, controls.glyph(optimizer.look, palette), numbers.word(optimizer.name));
    const inside = controls.make("button", { type: "button", textContent: "inside", title: "Show what it knows at its head", onclick: () => heard("focus", optimizer.name) });
    inside.setAttribute("aria-label", `inside ${numbers.word(optimizer.name)}`);
    const name = controls.make("div", { className: "name" }, label, inside);
    const first = (entry) => Number(entry.name !== "learning_rate");
    const all = [...(optimizer.numbers ?? [])].sort((a, b) => first(a) - first(b));
    const usual = all.filter((entry) => !numbers.rare(entry));
    const rare = all.filter(numbers.rare);
    const item = controls.make("li", { dataset: { name: optimizer.name } }, name, ...usual.map((entry) => controls.number(optimizer, entry, heard)));
    if (rare.length) {
      item.append(controls.make("details", {}, controls.make("summary", { textContent: "more" }), ...rare.map((entry) => controls.number(optimizer, entry, heard))));
    }
    return item;
  },

  number(optimizer, entry, heard) {
    const told = `${numbers.word(entry.name)} of ${numbers.word(optimizer.name)}`;
    const slider = controls.make("input", { type: "range", min: 0, max: 1, step: 0.002 });
    const field = controls.make("input", { type: "number", step: "any" });
    slider.oninput = () => heard("number", optimizer.name, entry.name, numbers.value(Number(slider.value), entry.value));
    field.onchange = () => heard("number", optimizer.name, entry.name, numbers.read(field.value));
    slider.setAttribute("aria-label", told);
    field.setAttribute("aria-label", `${told}, exact`);
    const name = controls.make("span", { textContent: numbers.word(entry.name), title: entry.name });
    return controls.make("div", { className: "number", dataset: { number: entry.name } }, name, slider, field);
  },

  // What the controls show of the state.
  sync(state, data) {
    for (const item of controls.by("list").children) {
      const optimizer = data.optimizers.find((entry) => entry.name === item.dataset.name);
      const on = state.on.has(optimizer.name);
      item.classList.toggle("off", !on);
      item.querySelector("input[type=checkbox]").checked = on;
      item.querySelector("button").setAttribute("aria-pressed", String(state.focus === optimizer.name));
      for (const row of item.querySelectorAll(".number")) {
        const value = state.numbers[optimizer.name][row.dataset.number];
        const standard = optimizer.numbers.find((entry) => entry.name === row.dataset.number).value;
        const [slider, field] = row.querySelectorAll("input");
        slider.value = numbers.place(value, standard);
        slider.setAttribute("aria-valuetext", String(value));
        if (document.activeElement !== field) field.value = value;
      }
    }
    for (const id of ["clock", "speed", "steps"]) if (document.activeElement !== controls.by(id)) controls.by(id).value = state[id];
    controls.by("surface").value = String(state.scene);
    for (const [k, id] of ["x", "y"].entries()) {
      if (document.activeElement !== controls.by(id)) controls.by(id).value = Number(state.start[k].toPrecision(6));
    }
    controls.by("view").setAttribute("aria-pressed", String(state.view === "3d"));
    controls.by("stage").dataset.view = state.view;
    for (const button of controls.by("presets").children) {
      button.setAttribute("aria-pressed", String(button.textContent === state.preset));
    }
  },

  // Where each ended, the lowest first.
  table(all, scene, palette) {
    const low = scene.minimum;
    const score = (course) => (course.status === "diverged" || !Number.isFinite(course.value.at(-1)) ? Infinity : course.value.at(-1));
    const rows = [...all].sort((a, b) => score(a) - score(b)).map((course) => {
      const { x, kind } = courses.ending(course, scene);
      const place = x.every(Number.isFinite) ? `(${x.map((part) => marks.number(part)).join(", ")})` : "";
      const value = course.value.at(-1);
      const name = controls.make("th", { scope: "row" }, controls.glyph(course.look, palette, 16), course.label ?? numbers.word(course.name));
      const cells = [
        course.status, kind ? `${kind} ${place}` : place, marks.number(low === null ? value : value - low), marks.number(course.slope),
        String(course.step.at(-1)), course.spent ? controls.spent(course.spent) : "", controls.time(course),
      ];
      const row = controls.make("tr", { dataset: { name: course.name } }, name, ...cells.map((text) => controls.make("td", { textContent: text })));
      row.querySelectorAll("td")[4].title = "steps";
      return row;
    });
    controls.by("loss").textContent = low === null ? "loss" : "gap";
    document.querySelector("#table tbody").replaceChildren(...rows);
  },

  // Values + gradients + Hessian-vector products.
  spent([values, gradients, products]) {
    return `${values} f + ${gradients} ∇${products ? ` + ${products} Hv` : ""}`;
  },

  time(course) {
    const total = course.seconds * course.step.at(-1);
    return total < 1e-3 ? "< 1 ms" : controls.seconds(total);
  },

  seconds(value) {
    if (!Number.isFinite(value)) return "";
    return value < 1e-3 ? `${marks.number(value * 1e6)} µs` : value < 1 ? `${marks.number(value * 1e3)} ms` : `${marks.number(value)} s`;
  },
};
