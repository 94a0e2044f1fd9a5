// Courses: where each optimizer has been, whether it ran just now or in a stored study.
const courses = {
  STATUS: ["budget spent", "converged", "budget spent", "stalled", "diverged"],

  // {name, look, xy, value, evaluations, status, seconds (each step), states} of one optimizer from a point.
  run(optimizer, index, scene, start, given, steps) {
    const entry = programs.optimizers[index];
    const program = entry.start ? entry : entry[scene.index];
    const surface = programs.surfaces[scene.index];
    const at = optimizer.leaves;
    const again = () => {
      const first = program.start([...given, Float64Array.from(start)], surface);
      return runtime.descend(program.step, given, first, at.status, steps, surface);
    };
    const begun = performance.now();
    const states = again();
    const seconds = (performance.now() - begun) / 1000 / Math.max(1, states.length - 1);
    const xy = new Float64Array(2 * states.length);
    states.forEach((state, k) => xy.set(state[at.params], 2 * k));
    const column = (leaf) => Float64Array.from(states, (state) => state[at[leaf]]);
    // A search's trials are states too: where one was accepted, the next update begins a new search.
    const accepted = states.map((_, k) => at.fresh === null || k === 0 || k === states.length - 1 || states[k + 1][at.fresh]);
    const [values, gradients, products] = ["n_value", "n_grad", "n_hvp"].map(column);
    const last = states[states.length - 1];
    return {
      name: optimizer.name, look: optimizer.look, xy, value: column("value"), seconds, again, states, given,
      program, accepted,
      step: Float64Array.from(states, (_, k) => k),
      evaluations: values.map((n, k) => n + gradients[k] + products[k]),
      spent: [values, gradients, products].map((n) => n[n.length - 1]),
      status: courses.STATUS[last[at.status]], slope: last[at.grad_norm],
    };
  },

  // The learning rate, of 25 over six decades, that ends lowest; null where none does.
  bestRate(optimizer, index, scene, start, values, steps) {
    const names = optimizer.numbers.map((number) => number.name);
    const place = names.indexOf("learning_rate");
    if (place < 0) return null;
    let best = { rate: null, value: Infinity };
    for (let k = -12; k <= 12; k++) {
      const rate = Number((optimizer.numbers[place].value * 10 ** (k / 4)).toPrecision(3));
      const given = names.map((name, j) => (j === place ? rate : values[name]));
      const course = courses.run(optimizer, index, scene, start, given, steps);
      const value = course.value[course.value.length - 1];
      if (course.status !== "diverged" && value < best.value) best = { rate, value };
    }
    return best.rate;
  },

  // A stored column: little-endian numbers in base64.
  decoded(text, Kind) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return Float64Array.from(new Kind(bytes.buffer));
  },

  stored(run, look) {
    const column = (key) => courses.decoded(run[key], Float32Array);
    return {
      name: run.optimizer, label: run.label, look, status: run.status, slope: run.slope, spent: run.spent,
      step: column("step"), evaluations: column("evaluations"), xy: column("xy"), seconds: run.seconds,
      value: courses.decoded(run.value, Float64Array), states: null, accepted: null,
    };
  },

  // Whether a point belongs to the way, and is no mere trial.
  on(course, k) {
    return !course.accepted || course.accepted[k];
  },

  last(course) {
    return course.value.length - 1;
  },

  // What a clock shows after each step.
  ticks(course, clock) {
    if (clock === "evals") return course.evaluations;
    if (clock === "steps") return course.step;
    course.clock ??= courses.timed(course);
    return course.clock;
  },

  // Browsers tell time to a tenth of a millisecond: a short run is repeated until there is something to measure.
  timed(course) {
    if (course.again) {
      const begun = performance.now();
      let [runs, passed] = [0, 0];
      while (passed < 4 && runs < 200) {
        course.again();
        runs++;
        passed = performance.now() - begun;
      }
      course.seconds = passed / 1000 / runs / Math.max(1, courses.last(course));
    }
    return course.step.map((k) => k * course.seconds);
  },

  longest(all, clock) {
    return Math.max(clock === "seconds" ? 1e-6 : 1, ...all.map((course) => courses.ticks(course, clock)[courses.last(course)]));
  },

  // Time runs in the logarithm: the first steps are the ones worth seeing.
  amount(place, longest, clock) {
    const unit = clock === "seconds" ? longest / 1e3 : 1;
    return unit * Math.expm1(place * Math.log1p(longest / unit));
  },

  place(amount, longest, clock) {
    const unit = clock === "seconds" ? longest / 1e3 : 1;
    return Math.log1p(amount / unit) / Math.log1p(longest / unit);
  },

  // How far a course is at an amount of the clock: a step, and a part of the next.
  at(course, amount, clock) {
    const ticks = courses.ticks(course, clock);
    let low = 0;
    let high = ticks.length - 1;
    if (amount >= ticks[high]) return high;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (ticks[middle] <= amount) low = middle;
      else high = middle;
    }
    return low + Math.max(0, amount - ticks[low]) / Math.max(ticks[high] - ticks[low], 1e-300);
  },

  // The point there.
  point(course, far) {
    const k = Math.min(Math.floor(far), courses.last(course));
    const next = Math.min(k + 1, courses.last(course));
    const part = far - k;
    return [0, 1].map((i) => course.xy[2 * k + i] * (1 - part) + course.xy[2 * next + i] * part);
  },

  // What kind of place a course ended at.
  ending(course, scene) {
    const k = courses.last(course);
    const x = [course.xy[2 * k], course.xy[2 * k + 1]];
    const size = Math.hypot(scene.domain[1][0] - scene.domain[0][0], scene.domain[1][1] - scene.domain[0][1]);
    const there = scene.points.find((point) => Math.hypot(point.x[0] - x[0], point.x[1] - x[1]) < 2e-3 * size);
    return { x, kind: course.status === "diverged" ? null : there ? there.kind : null };
  },
};
