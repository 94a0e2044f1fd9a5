// The state of the page as words after the # of its address, and back; what is not understood is left out.
const link = {
  write(state, data) {
    const words = [
      ["surface", data.scenes[state.scene].name],
      ["start", state.start.join(",")],
      ["on", [...state.on].join(",")],
      ["steps", state.steps],
      ["clock", state.clock],
      ["at", state.at],
      ["view", state.view],
      ["camera", [state.camera.azimuth, state.camera.elevation, state.camera.zoom].join(",")],
      ["speed", state.speed],
    ];
    if (state.focus) words.push(["inside", state.focus]);
    if (state.preset) words.push(["story", state.preset]);
    if (state.theme) words.push(["theme", state.theme]);
    for (const optimizer of data.optimizers) {
      for (const number of optimizer.numbers ?? []) {
        const value = state.numbers[optimizer.name][number.name];
        if (value !== number.value) words.push([`${optimizer.name}.${number.name}`, value]);
      }
    }
    return words.map((pair) => pair.map((part) => encodeURIComponent(part)).join("=")).join("&");
  },

  words(text) {
    const found = [];
    for (const word of text.replace(/^#/, "").split("&").filter(Boolean)) {
      const cut = word.indexOf("=");
      try {
        found.push([word.slice(0, cut), word.slice(cut + 1)].map(decodeURIComponent));
      } catch {
        continue; // a broken escape
      }
    }
    return found;
  },

  // Changes a state to what the words say.
  read(text, state, data) {
    for (const [key, value] of link.words(text)) {
      if (Object.hasOwn(link.KEYS, key)) link.KEYS[key](state, value, data);
      else link.number(state, key, value, data);
    }
    return state;
  },

  number(state, key, text, data) {
    const optimizer = data.optimizers.find((entry) => key.startsWith(`${entry.name}.`));
    const name = optimizer && key.slice(optimizer.name.length + 1);
    const value = numbers.read(text);
    if (name && value !== null && Object.hasOwn(state.numbers[optimizer.name], name)) state.numbers[optimizer.name][name] = value;
  },

  list(text, count) {
    const values = text.split(",").map(numbers.read);
    return values.length === count && !values.includes(null) ? values : null;
  },

  among(allowed, text, otherwise) {
    return allowed.includes(text) ? text : otherwise;
  },

  KEYS: {
    surface(state, text, data) {
      const found = data.scenes.findIndex((scene) => scene.name === text);
      if (found < 0) return;
      state.scene = found;
      state.start = Array.from(data.scenes[found].start);
    },
    start(state, text) {
      state.start = link.list(text, 2) ?? state.start;
    },
    on(state, text, data) {
      state.on = new Set(text.split(",").filter((name) => data.optimizers.some((entry) => entry.name === name)));
    },
    steps(state, text) {
      const value = numbers.read(text);
      if (value >= 1) state.steps = Math.min(20000, Math.round(value));
    },
    clock(state, text) {
      state.clock = link.among(["steps", "evals", "seconds"], text, state.clock);
    },
    at(state, text) {
      state.at = Math.min(1, Math.max(0, numbers.read(text) ?? state.at));
    },
    view(state, text) {
      state.view = link.among(["contour", "3d"], text, state.view);
    },
    camera(state, text) {
      const found = link.list(text, 3);
      if (found) [state.camera.azimuth, state.camera.elevation, state.camera.zoom] = found;
    },
    speed(state, text) {
      state.speed = Number(link.among(["0.25", "0.5", "1", "2", "4"], text, String(state.speed)));
    },
    inside(state, text, data) {
      state.focus = data.optimizers.some((entry) => entry.name === text) ? text : null;
    },
    story(state, text, data) {
      state.preset = data.presets.some((preset) => preset.name === text) ? text : null;
    },
    theme(state, text) {
      state.theme = link.among(["light", "dark"], text, state.theme);
    },
  },
};
