// The page: one state; what changes it; and what is drawn of it. `state` is what a link holds.
const page = {
  data: null,
  state: null,
  all: [], // courses
  playing: null, // {from, begun} while time runs

  begin() {
    page.data = JSON.parse(controls.by("data").textContent);
    page.data.scenes = page.data.stored ? page.data.stored.scenes.map(page.storedScene) : page.data.surfaces.map(page.scene);
    page.state = page.first();
    page.build();
    page.listen();
    const words = location.hash;
    if (words.length > 1) link.read(words, page.state, page.data);
    else if (page.data.presets.length) page.story(page.data.presets[0]);
    page.theme();
    page.changed();
    if (words.length <= 1) page.play();
  },

  scene(surface, index) {
    const value = programs.surfaces[index][0];
    return { ...surface, index, value: (x, y) => value([Float64Array.of(x, y)])[0] };
  },

  storedScene(stored, index) {
    const [x, y, z] = ["x", "y", "z"].map((key) => courses.decoded(stored.grid[key], Float32Array));
    const grid = { x, y, z };
    const domain = [[x[0], y[0]], [x.at(-1), y.at(-1)]];
    return { ...stored, index, grid, domain, value: (a, b) => stage.between(grid, a, b) };
  },

  first() {
    const { data } = page;
    const values = (optimizer) => Object.fromEntries((optimizer.numbers ?? []).map((number) => [number.name, number.value]));
    return {
      scene: 0, start: Array.from(data.scenes[0].start), on: new Set(data.optimizers.map((optimizer) => optimizer.name)),
      numbers: Object.fromEntries(data.optimizers.map((optimizer) => [optimizer.name, values(optimizer)])),
      steps: 500, clock: "steps", at: 1, view: "contour", camera: { azimuth: -62, elevation: 48, zoom: 1 }, speed: 1,
      focus: null, preset: null, theme: null,
    };
  },

  build() {
    const { data } = page;
    controls.options(controls.by("surface"), data.scenes.map((scene, k) => [String(k), numbers.word(scene.name)]));
    controls.by("presets").replaceChildren(
      ...data.presets.map((preset) => controls.make("button", { type: "button", textContent: preset.name, title: preset.says, onclick: () => page.tell(preset) })),
    );
    controls.list(data, page.palette(), page.heard);
    document.documentElement.dataset.kind = data.stored ? "stored" : "live";
    if (!data.stored) return;
    for (const id of ["from", "best", "reset"]) controls.by(id).hidden = true;
    controls.by("keys").textContent = "Runs of a study, as they were recorded. On the keyboard: space plays, comma and full stop go one back and onward, V turns to 3-D and back.";
  },

  // Colours of the theme that is on.
  palette() {
    const dark = document.documentElement.dataset.theme === "dark";
    const colors = dark ? contour.DARK : contour.LIGHT;
    return { ...colors, dark, middle: marks.mix(colors.low, colors.high, dark ? 0.5 : 0.72) };
  },

  theme() {
    const wanted = page.state.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset.theme = wanted;
    const palette = page.palette();
    for (const item of controls.by("list").children) {
      const { look } = page.data.optimizers.find((optimizer) => optimizer.name === item.dataset.name);
      controls.paintGlyph(item.querySelector("canvas"), look, palette);
    }
  },

  // Stories

  story(preset) {
    const { data, state } = page;
    Object.assign(state, { ...page.first(), theme: state.theme, view: state.view, camera: state.camera, speed: state.speed });
    state.scene = data.scenes.findIndex((scene) => scene.name === preset.surface);
    Object.assign(state, { start: Array.from(preset.start), steps: preset.steps, clock: preset.clock, preset: preset.name });
    state.on = new Set(preset.optimizers);
    for (const [name, values] of Object.entries(preset.numbers)) Object.assign(state.numbers[name], values);
  },

  tell(preset) {
    page.story(preset);
    page.changed();
    page.play();
  },

  // What was done to the controls

  heard(what, name, number, value) {
    const { state } = page;
    if (what === "on") {
      if (value) state.on.add(name);
      else state.on.delete(name);
    }
    if (what === "focus") {
      state.focus = state.focus === name ? null : name;
      state.on.add(name);
    }
    if (what === "number" && value !== null) state.numbers[name][number] = value;
    page.changed();
  },

  surface(index) {
    Object.assign(page.state, { scene: index, start: Array.from(page.data.scenes[index].start), preset: null });
    page.changed();
    if (!page.data.stored) page.rates();
    page.play();
  },

  // The best learning rate of each from here.
  rates() {
    const { data, state } = page;
    data.optimizers.forEach((optimizer, k) => {
      if (!page.able(optimizer)) return;
      const best = courses.bestRate(optimizer, k, page.here(), state.start, state.numbers[optimizer.name], Math.min(state.steps, 500));
      if (best !== null) state.numbers[optimizer.name].learning_rate = best;
    });
    page.changed();
  },

  from(x, y) {
    if (![x, y].every(Number.isFinite)) return;
    page.pause();
    Object.assign(page.state, { start: [x, y], preset: null, at: 1 });
    page.changed();
  },

  here() {
    const scene = page.data.scenes[page.state.scene];
    scene.grid ??= stage.grid(scene);
    scene.scale ??= contour.scale(scene.grid, scene.minimum);
    scene.heights ??= contour.heights(scene.scale, scene.grid);
    return scene;
  },

  able(optimizer) {
    return page.state.on.has(optimizer.name) && (!optimizer.only || optimizer.only.includes(page.here().name));
  },

  // Everything again from the state.
  changed() {
    const { data, state } = page;
    const scene = page.here();
    page.all = data.stored ? page.replayed(scene) : page.solved(scene);
    controls.sync(state, data);
    controls.table(page.all, scene, page.palette());
    controls.by("says").textContent = page.says(scene);
    controls.by("live").textContent = page.summary();
    page.asked();
  },

  solved(scene) {
    const { data, state } = page;
    return data.optimizers.flatMap((optimizer, k) => {
      if (!page.able(optimizer)) return [];
      const given = optimizer.numbers.map((number) => state.numbers[optimizer.name][number.name]);
      return [courses.run(optimizer, k, scene, state.start, given, state.steps)];
    });
  },

  replayed(scene) {
    const { data, state } = page;
    const look = (name) => data.optimizers.find((optimizer) => optimizer.name === name).look;
    scene.courses ??= scene.runs.map((run) => courses.stored(run, look(run.optimizer)));
    return scene.courses.filter((course) => state.on.has(course.name));
  },

  says(scene) {
    const preset = page.data.presets.find((entry) => entry.name === page.state.preset);
    return preset ? preset.says : scene.summary;
  },

  summary() {
    const ended = page.all.map((course) => `${numbers.word(course.name)} ${course.status} at ${marks.number(course.value.at(-1))}`);
    return `From (${page.state.start.map(marks.number).join(", ")}): ${ended.join("; ")}.`;
  },

  // Time

  play() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      page.state.at = 1;
      page.asked();
      return;
    }
    if (page.state.at >= 1) page.state.at = 0;
    page.playing = { from: page.state.at, begun: performance.now() };
    page.asked();
  },

  pause() {
    page.playing = null;
    page.asked();
  },

  // One on the clock, or a hundredth of the whole where it counts seconds.
  step(sign) {
    page.pause();
    const { state } = page;
    const longest = courses.longest(page.all, state.clock);
    const unit = state.clock === "seconds" ? longest / 100 : 1;
    const amount = Math.round(courses.amount(state.at, longest, state.clock) / unit + sign) * unit;
    state.at = courses.place(Math.min(longest, Math.max(0, amount)), longest, state.clock);
    page.asked();
  },

  // Drawing: once a frame at most.
  asked() {
    page.waiting ??= requestAnimationFrame(() => {
      page.waiting = null;
      if (page.playing) {
        page.state.at = Math.min(1, page.playing.from + ((performance.now() - page.playing.begun) / 9000) * page.state.speed);
        if (page.state.at >= 1) page.playing = null;
      }
      page.draw();
      if (page.playing) page.asked();
    });
  },

  now() {
    const { state } = page;
    const longest = courses.longest(page.all, state.clock);
    return { ...state, longest, amount: courses.amount(state.at, longest, state.clock), insight: page.inside(longest) };
  },

  inside(longest) {
    const { data, state } = page;
    const course = page.all.find((entry) => entry.name === state.focus);
    if (!course?.states) return null;
    const optimizer = data.optimizers.find((entry) => entry.name === state.focus);
    const k = Math.floor(courses.at(course, courses.amount(state.at, longest, state.clock), state.clock));
    return { ...insight.of(course, optimizer, page.here(), k), look: course.look };
  },

  draw() {
    const { state } = page;
    const [scene, palette, now] = [page.here(), page.palette(), page.now()];
    stage.draw(controls.by("stage"), scene, page.all, now, palette);
    page.chart("by_steps", "steps", scene, palette, now);
    page.chart("by_evals", "evals", scene, palette, now);
    controls.by("at").value = state.at;
    controls.by("time").textContent = page.clock(now);
    controls.by("play").textContent = page.playing ? "Pause" : "Play";
    controls.by("play").setAttribute("aria-pressed", String(Boolean(page.playing)));
    controls.by("inside").hidden = !now.insight;
    if (now.insight) controls.by("inside").textContent = `Inside ${numbers.word(state.focus)} — ${now.insight.says.join("; ")}.`;
    controls.by("key").textContent = page.legend(scene);
  },

  clock({ amount, clock }) {
    if (clock === "seconds") return controls.seconds(amount);
    // A hair more: what the slider's place comes to may fall just short of a whole one
    return `${Math.floor(amount + 1e-6)} ${clock === "evals" ? "evaluations" : "steps"}`;
  },

  legend(scene) {
    const signs = { minimum: "★ minimum", saddle: "✖ saddle", maximum: "▲ maximum", degenerate: "♦ flat point" };
    const kinds = Object.keys(signs).filter((kind) => scene.points.some((point) => point.kind === kind));
    return [...kinds.map((kind) => signs[kind]), "○ start", "small dots: 10, 100, 1000 evaluations"].join("   ");
  },

  // The accepted points of a course up to now, for a chart.
  line(course, clock, low, now) {
    const kept = Array.from(course.step.keys()).filter((k) => courses.on(course, k));
    const ticks = courses.ticks(course, clock);
    const far = courses.at(course, now.amount, now.clock);
    return {
      x: Float64Array.from(kept, (k) => ticks[k]), y: Float64Array.from(kept, (k) => (low === null ? course.value[k] : Math.max(0, course.value[k] - low))),
      head: Math.max(0, kept.findLastIndex((k) => k <= far)),
    };
  },

  chart(id, clock, scene, palette, now) {
    const { ctx, width, height } = stage.fitted(controls.by(id));
    const low = scene.minimum;
    // The best one first: where lines end together it is named on top
    const end = (course) => (Number.isFinite(course.value.at(-1)) ? course.value.at(-1) : Infinity);
    const series = [...page.all].sort((a, b) => end(a) - end(b)).map((course) => ({
      ...page.line(course, clock, low, now),
      name: course.name, label: course.label ?? numbers.word(course.name), color: stage.color(course, palette),
      dash: course.look.dash.map((part) => 1.6 * part), marker: course.look.marker, muted: Boolean(now.focus && now.focus !== course.name),
    }));
    const what = low === null ? "loss" : "loss above the minimum";
    const name = clock === "steps" ? "steps" : "evaluations of value, gradient, Hessian product";
    chart.draw(ctx, { left: 8, top: 6, width: width - 14, height: height - 10 }, series, {
      title: `${what} against ${clock === "steps" ? "steps" : "evaluations"}`, xLabel: name, yLabel: "", floor: low === null ? undefined : 1e-16,
      signed: low === null, unit: scene.scale.unit, xMax: courses.longest(page.all, clock), palette,
    });
    controls.by(id).setAttribute("aria-label", `${what} against ${name}, one line for each optimizer; the table below has the ends`);
    controls.by("stage").setAttribute("aria-label", `${numbers.word(scene.name)} ${now.view === "3d" ? "in perspective" : "from above"}. ${page.summary()}`);
  },

  // Events

  listen() {
    const on = (id, event, act) => controls.by(id).addEventListener(event, act);
    on("surface", "change", (event) => page.surface(Number(event.target.value)));
    on("play", "click", () => (page.playing ? page.pause() : page.play()));
    on("back", "click", () => page.step(-1));
    on("onward", "click", () => page.step(1));
    on("at", "input", (event) => {
      page.pause();
      page.state.at = Number(event.target.value);
    });
    on("clock", "change", (event) => page.set({ clock: event.target.value }));
    on("speed", "change", (event) => page.set({ speed: Number(event.target.value) }));
    on("view", "click", page.turn);
    on("theme", "click", page.shade);
    on("link", "click", page.copy);
    on("all", "click", () => page.set({ on: new Set(page.data.optimizers.map((optimizer) => optimizer.name)) }));
    on("none", "click", () => page.set({ on: new Set(), focus: null }));
    on("best", "click", page.rates);
    on("reset", "click", () => page.set({ numbers: page.first().numbers, preset: null }));
    for (const id of ["x", "y"]) on(id, "change", () => page.from(...["x", "y"].map((key) => numbers.read(controls.by(key).value) ?? NaN)));
    on("steps", "change", (event) => link.KEYS.steps(page.state, event.target.value) ?? page.changed());
    addEventListener("resize", page.asked);
    addEventListener("hashchange", () => {
      link.read(location.hash, Object.assign(page.state, page.first()), page.data);
      page.pause();
      page.theme();
      page.changed();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.theme() ?? page.changed());
    addEventListener("keydown", page.key);
    pointer.listen(controls.by("stage"));
  },

  set(values) {
    if (values.speed && page.playing) page.playing = { from: page.state.at, begun: performance.now() };
    Object.assign(page.state, values);
    page.changed();
  },

  turn() {
    page.set({ view: page.state.view === "3d" ? "contour" : "3d" });
  },

  shade() {
    page.state.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    page.theme();
    page.changed();
  },

  copy() {
    const address = `${location.href.split("#")[0]}#${link.write(page.state, page.data)}`;
    history.replaceState(null, "", address);
    const said = (text) => {
      controls.by("link").textContent = text;
      setTimeout(() => (controls.by("link").textContent = "Copy link"), 1600);
    };
    // A file that was opened from a folder may not write to the clipboard: then the address bar has it.
    Promise.resolve(navigator.clipboard?.writeText(address)).then(() => said("Copied"), () => said("In the address bar"));
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, button, summary")) return;
    const size = page.data.scenes[page.state.scene].domain;
    const step = (i) => ((event.shiftKey ? 0.002 : 0.02) * (size[1][i] - size[0][i]));
    const [x, y] = page.state.start;
    const keys = {
      " ": () => (page.playing ? page.pause() : page.play()), ",": () => page.step(-1), ".": () => page.step(1),
      v: page.turn, t: page.shade,
      ArrowLeft: () => page.from(x - step(0), y), ArrowRight: () => page.from(x + step(0), y),
      ArrowUp: () => page.from(x, y + step(1)), ArrowDown: () => page.from(x, y - step(1)),
    };
    const act = keys[event.key] ?? keys[event.key.toLowerCase()];
    if (!act || (page.data.stored && event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    act();
  },
};
