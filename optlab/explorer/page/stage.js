// The picture: surface, courses up to now, what stands out on it. Everything is in CSS pixels.
const stage = {
  POSTS: { minimum: ["*", 13], saddle: ["X", 9], maximum: ["^", 9], degenerate: ["d", 10] },
  FADE: 0.09, // of the logarithmic time, which the bright trail covers

  // Makes a canvas as fine as the screen; {ctx, width, height}.
  fitted(canvas) {
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const fine = window.devicePixelRatio || 1;
    const wanted = [Math.round(width * fine), Math.round(height * fine)];
    if (canvas.width !== wanted[0] || canvas.height !== wanted[1]) [canvas.width, canvas.height] = wanted;
    const ctx = canvas.getContext("2d");
    ctx.setTransform(fine, 0, 0, fine, 0, 0);
    ctx.clearRect(0, 0, width, height);
    return { ctx, width, height };
  },

  // Room for axes on the left and below, for labels on the right.
  box(width, height) {
    const gutter = width < 520 ? 112 : 168;
    return { left: 40, top: 12, width: Math.max(50, width - 40 - gutter), height: Math.max(50, height - 12 - 28) };
  },

  grid(scene, n = 161) {
    const axis = (i) => Float64Array.from({ length: n }, (_, k) => scene.domain[0][i] + ((scene.domain[1][i] - scene.domain[0][i]) * k) / (n - 1));
    const [x, y] = [axis(0), axis(1)];
    const z = new Float64Array(n * n);
    for (let j = 0; j < n; j++) for (let i = 0; i < n; i++) z[j * n + i] = scene.value(x[i], y[j]);
    return { x, y, z };
  },

  // From data to pixels.
  project(box, grid) {
    const [x0, x1, y0, y1] = [grid.x[0], grid.x.at(-1), grid.y[0], grid.y.at(-1)];
    return (x, y) => [box.left + (box.width * (x - x0)) / (x1 - x0), box.top + (box.height * (y1 - y)) / (y1 - y0)];
  },

  unproject(box, grid, px, py) {
    const [x0, x1, y0, y1] = [grid.x[0], grid.x.at(-1), grid.y[0], grid.y.at(-1)];
    return { x: x0 + ((x1 - x0) * (px - box.left)) / box.width, y: y1 - ((y1 - y0) * (py - box.top)) / box.height };
  },

  // The pieces of a course up to a step, as points [x, y, ...]: what moves less than a hair is left out, and
  // what is far off ends it.
  path(course, far, grid) {
    const size = [grid.x.at(-1) - grid.x[0], grid.y.at(-1) - grid.y[0]];
    const middle = [(grid.x[0] + grid.x.at(-1)) / 2, (grid.y[0] + grid.y.at(-1)) / 2];
    const points = [];
    const steps = [];
    let last = null;
    const add = (x, k) => {
      points.push(x);
      steps.push(k);
      last = x;
    };
    const end = Math.floor(far);
    for (let k = 0; k <= end; k++) {
      if (!courses.on(course, k) && k < end) continue;
      const x = [course.xy[2 * k], course.xy[2 * k + 1]];
      if (!x.every(Number.isFinite)) break;
      const off = Math.max(Math.abs(x[0] - middle[0]) / size[0], Math.abs(x[1] - middle[1]) / size[1]);
      if (off > 3) {
        if (last) add(last.map((value, i) => value + (x[i] - value) * Math.min(1, 6 / off)), k);
        return { points, steps, gone: true };
      }
      if (last && k < end && Math.hypot((x[0] - last[0]) / size[0], (x[1] - last[1]) / size[1]) < 1e-3) continue;
      add(x, k);
    }
    if (far > end) {
      const x = courses.point(course, far);
      if (x.every(Number.isFinite) && Math.hypot(x[0] - middle[0], x[1] - middle[1]) < 1e3 * Math.hypot(...size)) add(x, far);
    }
    return { points, steps, gone: false };
  },

  draw(canvas, scene, all, now, palette) {
    const { ctx, width, height } = stage.fitted(canvas);
    const box = stage.box(width, height);
    const heads = now.view === "3d" ? stage.relief(ctx, box, scene, all, now, palette) : stage.contour(ctx, box, scene, all, now, palette);
    stage.labels(ctx, box, width, heads, palette);
  },

  contour(ctx, box, scene, all, now, palette) {
    const { grid } = scene;
    ctx.drawImage(stage.background(box, scene, palette), box.left, box.top, box.width, box.height);
    marks.axes(ctx, box, [grid.x[0], grid.x.at(-1)], [grid.y[0], grid.y.at(-1)], palette, scene.axes ?? ["x", "y"]);
    const to = stage.project(box, grid);
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.left, box.top, box.width, box.height);
    ctx.clip();
    const heads = all.map((course) => stage.course(ctx, course, now, grid, to, box, palette));
    stage.posts(ctx, scene, to, palette);
    if (now.insight) stage.insight(ctx, now.insight, to, palette);
    stage.pin(ctx, to(...now.start), palette);
    for (const head of heads) stage.head(ctx, head, box, palette);
    ctx.restore();
    return heads;
  },

  background(box, scene, palette) {
    const fine = window.devicePixelRatio || 1;
    const key = [box.width, box.height, fine, palette.paper].join();
    if (scene.kept?.key === key) return scene.kept.canvas;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.round(box.width * fine), Math.round(box.height * fine)];
    const ctx = canvas.getContext("2d");
    ctx.scale(fine, fine);
    const own = { left: 0, top: 0, width: box.width, height: box.height };
    const to = stage.project(own, scene.grid);
    contour.paint(ctx, own, scene.grid, scene.scale, palette, { avoid: scene.points.map((point) => to(...point.x)) });
    scene.kept = { key, canvas };
    return canvas;
  },

  color(course, palette) {
    return palette.dark ? course.look.dark : course.look.color;
  },

  stroke(ctx, points, to, color, width, dash = []) {
    if (points.length < 2) return;
    ctx.beginPath();
    points.forEach((point, k) => (k ? ctx.lineTo(...to(...point)) : ctx.moveTo(...to(...point))));
    ctx.setLineDash(dash);
    Object.assign(ctx, { strokeStyle: color, lineWidth: width, lineJoin: "round", lineCap: dash.length ? "butt" : "round" });
    ctx.stroke();
  },

  // History in a mixed colour, the last of it bright; returns where the head is.
  course(ctx, course, now, grid, to, box, palette) {
    const far = courses.at(course, now.amount, now.clock);
    const { points, steps, gone } = stage.path(course, far, grid);
    const color = stage.color(course, palette);
    const muted = now.focus && now.focus !== course.name;
    const dash = course.look.dash.map((part) => 2.2 * part);
    const past = marks.mix(color, palette.middle, muted ? 0.6 : 0.35);
    stage.stroke(ctx, points, to, palette.paper, muted ? 2.2 : 3.2);
    // A dashed line alone would show more of the paper than of its colour
    if (dash.length) stage.stroke(ctx, points, to, marks.mix(color, palette.paper, 0.6), 1.4);
    stage.stroke(ctx, points, to, past, muted ? 1.2 : 1.7, dash);
    const recent = courses.at(course, courses.amount(Math.max(0, now.at - stage.FADE), now.longest, now.clock), now.clock);
    const first = steps.findIndex((k) => k >= recent);
    if (!muted && first >= 0) stage.stroke(ctx, points.slice(Math.max(0, first - 1)), to, color, 2, dash);
    stage.dots(ctx, course, far, to, past, palette);
    const at = points.length ? to(...points.at(-1)) : to(...now.start);
    const ended = far >= courses.last(course);
    return { course, at, color, gone, ended, muted, from: points.length > 1 ? to(...points.at(-2)) : at };
  },

  // At 10, 100, 1000 evaluations.
  dots(ctx, course, far, to, color, palette) {
    for (let count = 10; count <= course.evaluations.at(-1); count *= 10) {
      const k = courses.at(course, count, "evals");
      if (k > far) return;
      const x = courses.point(course, k);
      if (x.every(Number.isFinite)) marks.draw(ctx, "o", ...to(...x), 4.2, palette.paper, color);
    }
  },

  posts(ctx, scene, to, palette) {
    for (const point of scene.points) {
      const [shape, size] = stage.POSTS[point.kind] ?? stage.POSTS.degenerate;
      marks.draw(ctx, shape, ...to(...point.x), scene.points.length > 24 ? 0.6 * size : size, palette.paper, palette.ink);
    }
  },

  pin(ctx, at, palette) {
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.arc(...at, 6, 0, 2 * Math.PI);
    Object.assign(ctx, { lineWidth: 3.4, strokeStyle: palette.paper });
    ctx.stroke();
    Object.assign(ctx, { lineWidth: 1.6, strokeStyle: palette.ink });
    ctx.stroke();
  },

  // The filled shape at the end; off the picture an arrow at its border.
  head(ctx, head, box, palette) {
    const { course, color } = head;
    const [x, y] = head.at;
    const inside = x >= box.left && x <= box.left + box.width && y >= box.top && y <= box.top + box.height;
    if (inside) marks.draw(ctx, course.look.marker, x, y, head.muted ? 8 : 11, color, palette.paper);
    else stage.exit(ctx, head, box, palette);
  },

  exit(ctx, head, box, palette) {
    const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
    const at = [clamp(head.at[0], box.left + 9, box.left + box.width - 9), clamp(head.at[1], box.top + 9, box.top + box.height - 9)];
    const angle = Math.atan2(head.at[1] - head.from[1], head.at[0] - head.from[0]);
    ctx.save();
    ctx.translate(...at);
    ctx.rotate(angle + Math.PI / 2);
    marks.draw(ctx, "^", 0, 0, 11, head.color, palette.paper);
    ctx.restore();
    head.at = at;
  },

  // Names in the right margin, spread apart, each with a thin line to its head.
  labels(ctx, box, width, heads, palette) {
    const left = box.left + box.width;
    const small = width < 520;
    const size = small ? 10.5 : 12.5;
    const order = heads.map((head, k) => ({ head, k })).sort((a, b) => a.head.at[1] - b.head.at[1] || a.k - b.k);
    const room = Math.min(small ? 14 : 19, (box.height - 8) / Math.max(1, heads.length));
    const wanted = order.map(({ head }) => Math.min(box.top + box.height, Math.max(box.top, head.at[1])));
    const places = marks.spread(wanted, room, box.top + 6, box.top + box.height - 6);
    Object.assign(ctx, { font: marks.font(size), textAlign: "left", textBaseline: "middle" });
    order.forEach(({ head }, j) => {
      const y = places[j];
      ctx.globalAlpha = head.muted ? 0.55 : 1;
      ctx.beginPath();
      ctx.moveTo(Math.min(head.at[0], left), head.at[1]);
      ctx.lineTo(left + 12, y);
      ctx.setLineDash([]);
      Object.assign(ctx, { strokeStyle: head.color, lineWidth: 0.7 });
      ctx.stroke();
      marks.draw(ctx, head.course.look.marker, left + 18, y, 8, head.color, palette.paper);
      marks.write(ctx, stage.short(ctx, head.course.label ?? numbers.word(head.course.name), width - left - 30), left + 26, y, palette.ink, palette.paper);
    });
    ctx.globalAlpha = 1;
  },

  short(ctx, text, room) {
    while (text.length > 3 && ctx.measureText(text).width > room) text = `${text.replace(/…$/, "").slice(0, -1)}…`;
    return text;
  },

  insight(ctx, found, to, palette) {
    const color = palette.dark ? found.look.dark : found.look.color;
    for (const line of found.lines) {
      const points = [];
      for (let k = 0; k < line.points.length; k += 2) points.push([line.points[k], line.points[k + 1]]);
      ctx.globalAlpha = line.strength ?? 1;
      stage.stroke(ctx, points, to, palette.paper, line.width + 2);
      stage.stroke(ctx, points, to, color, line.width, line.dash);
    }
    ctx.globalAlpha = 1;
    for (const dot of found.dots) marks.draw(ctx, "s", ...to(...dot), 6, palette.paper, color);
    if (found.cross) marks.draw(ctx, "P", ...to(...found.cross), 9, color, palette.paper);
  },

  relief(ctx, box, scene, all, now, palette) {
    const view = stage.view(box, scene, now);
    const tracks = [];
    const heads = all.map((course) => {
      const far = courses.at(course, now.amount, now.clock);
      const { points } = stage.path(course, far, scene.grid);
      const color = stage.color(course, palette);
      const muted = now.focus && now.focus !== course.name;
      tracks.push({ points: Float64Array.from(points.flat()), color: muted ? marks.mix(color, palette.middle, 0.6) : color, width: muted ? 1.2 : 2, halo: palette.paper, dash: course.look.dash.map((part) => 1.6 * part) });
      return { course, color, muted, end: points.at(-1) ?? now.start };
    });
    const inside = now.insight && (palette.dark ? now.insight.look.dark : now.insight.look.color);
    for (const { points, width, dash } of now.insight?.lines ?? []) tracks.push({ points, color: inside, width, halo: null, dash });
    relief.paint(ctx, view, palette, tracks);
    // What stands behind a hill is not drawn; a head that is off the surface waits at its rim.
    const on = (x, y) => {
      const at = stage.within(scene.grid, x, y);
      return { at: view.project(...at, relief.on(view, ...at)).slice(0, 2), seen: relief.seen(view, ...at) };
    };
    for (const point of scene.points) {
      const { at, seen } = on(...point.x);
      const [shape, size] = stage.POSTS[point.kind] ?? stage.POSTS.degenerate;
      if (seen) marks.draw(ctx, shape, ...at, 0.8 * size, palette.paper, palette.ink);
    }
    const pin = on(...now.start);
    if (pin.seen) stage.pin(ctx, pin.at, palette);
    for (const head of heads) {
      const { at, seen } = on(...head.end);
      head.at = at;
      if (seen) marks.draw(ctx, head.course.look.marker, ...at, head.muted ? 8 : 11, head.color, palette.paper);
    }
    return heads;
  },

  view(box, scene, now) {
    return relief.view(now.camera, { ...box, left: 8, width: box.width + 32 }, scene.grid, scene.heights);
  },

  within(grid, x, y) {
    const clamp = (value, axis) => Math.min(axis.at(-1), Math.max(axis[0], Number.isFinite(value) ? value : axis[0]));
    return [clamp(x, grid.x), clamp(y, grid.y)];
  },

  // Bilinear, on a grid that is all that is known of a surface.
  between(grid, x, y) {
    const [n, m] = [grid.x.length, grid.y.length];
    const u = ((x - grid.x[0]) / (grid.x.at(-1) - grid.x[0])) * (n - 1);
    const v = ((y - grid.y[0]) / (grid.y.at(-1) - grid.y[0])) * (m - 1);
    const i = Math.min(n - 2, Math.max(0, Math.floor(u)));
    const j = Math.min(m - 2, Math.max(0, Math.floor(v)));
    const at = (p, q) => grid.z[(j + q) * n + i + p];
    const [s, t] = [u - i, v - j];
    return (at(0, 0) * (1 - s) + at(1, 0) * s) * (1 - t) + (at(0, 1) * (1 - s) + at(1, 1) * s) * t;
  },
};
