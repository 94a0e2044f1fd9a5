// A surface seen from the side, on a plain canvas. Its triangles are filled pixel by pixel and leave
// their depth, so that bands end sharply and hills hide paths. The eye is far away: no perspective.
const relief = {
  SIDE: 100, // quads along a side; more of them cost time and show little
  TALL: 0.45, // height of the relief over the side of its base
  LIGHTS: 32, // shades of one colour; two more are for the walls

  // Degrees, as matplotlib has them: the eye stands in direction `azimuth`, `elevation` above the base.
  view({ azimuth, elevation, zoom = 1 }, box, grid, heights) {
    const [a, e] = [azimuth, elevation].map((angle) => (angle * Math.PI) / 180);
    const eye = { cosA: Math.cos(a), sinA: Math.sin(a), cosE: Math.cos(e), sinE: Math.sin(e) };
    const view = { box, ...eye, ...relief.sample(grid, heights) };
    view.levels = contour.ladder([view.low, view.high]);
    // The circle around the base, so that the picture keeps its size while it is turned.
    const tall = Math.SQRT2 * view.sinE + relief.TALL * view.cosE;
    view.scale = zoom * Math.min(box.width / Math.SQRT2, box.height / tall) * 0.97;
    view.project = (x, y, height) => relief.project(view, x, y, height);
    view.mesh = relief.mesh(view);
    return view;
  },

  // Heights on a lattice of at most SIDE quads a side.
  sample(grid, heights) {
    const [nx, ny] = [grid.x.length, grid.y.length];
    const [n, m] = [Math.min(nx, relief.SIDE + 1), Math.min(ny, relief.SIDE + 1)];
    const h = new Float64Array(n * m);
    for (let j = 0; j < m; j++) {
      const v = (j * (ny - 1)) / (m - 1);
      for (let i = 0; i < n; i++) {
        const u = (i * (nx - 1)) / (n - 1);
        h[j * n + i] = raster.interpolate({ n: nx, m: ny }, heights, u, v);
      }
    }
    const [low, high] = contour.range(h);
    const [x0, x1, y0, y1] = [grid.x[0], grid.x[nx - 1], grid.y[0], grid.y[ny - 1]];
    return { n, m, h, low, high, x0, x1, y0, y1 };
  },

  // Pixels, and the depth, which grows away from the eye.
  project(view, x, y, height) {
    const w = (height - view.low) / (view.high - view.low || 1);
    const u = (x - view.x0) / (view.x1 - view.x0);
    return relief.turn(view, u, (y - view.y0) / (view.y1 - view.y0), w);
  },

  // The same with u, v, w from 0 to 1 in the box of the relief.
  turn(view, u, v, w) {
    const near = view.cosA * (u - 0.5) + view.sinA * (v - 0.5);
    const lift = relief.TALL * (w - 0.5);
    const right = view.cosA * (v - 0.5) - view.sinA * (u - 0.5);
    return [
      view.box.left + view.box.width / 2 + view.scale * right,
      view.box.top + view.box.height / 2 - view.scale * (lift * view.cosE - near * view.sinE),
      -(near * view.cosE + lift * view.sinE),
    ];
  },

  // Pixel, depth, tone (in bands), light and slope to the eye of the lattice, and after it of the two
  // walls that face the eye: for each place along them a point on the rim and one on the base.
  mesh(view) {
    const { n, m, h, levels } = view;
    const mesh = { count: n * m + 2 * (n + m) };
    const names = ["x", "y", "depth", "tone", "light", "facing"];
    for (const name of names) mesh[name] = new Float64Array(mesh.count);
    const set = (at, i, j, height, [light, facing]) => {
      const w = (height - view.low) / (view.high - view.low || 1);
      [mesh.x[at], mesh.y[at], mesh.depth[at]] = relief.turn(view, i / (n - 1), j / (m - 1), w);
      mesh.tone[at] = (height - levels[0]) / (levels[1] - levels[0]);
      [mesh.light[at], mesh.facing[at]] = [light, facing];
    };
    for (let j = 0, at = 0; j < m; j++) {
      for (let i = 0; i < n; i++, at++) set(at, i, j, h[at], relief.light(view, i, j));
    }
    relief.rim(view).forEach(([i, j], k) => {
      const [at, wall] = [n * m + 2 * k, [relief.LIGHTS + (k < n ? 0 : 1), 1]];
      set(at, i, j, h[j * n + i], wall);
      set(at + 1, i, j, view.low, wall);
    });
    return mesh;
  },

  // Places along the two sides of the lattice that face the eye, one side after the other.
  rim({ n, m, cosA, sinA }) {
    const [near, front] = [cosA > 0 ? n - 1 : 0, sinA > 0 ? m - 1 : 0];
    const across = Array.from({ length: n }, (_, i) => [i, front]);
    return [...across, ...Array.from({ length: m }, (_, j) => [near, j])];
  },

  // Lambert's law, the lamp behind the left shoulder of who looks while the surface turns.
  light(view, i, j) {
    const { n, m, h, cosA, sinA, cosE, sinE } = view;
    const slope = (at, k, last, stride) => {
      const [before, after] = [k > 0 ? stride : 0, k < last ? stride : 0];
      return ((h[at + after] - h[at - before]) * stride * last) / (before + after);
    };
    const rise = relief.TALL / (view.high - view.low || 1);
    const u = rise * slope(j * n + i, i, n - 1, 1);
    const v = rise * slope(j * n + i, j, m - 1, n);
    const right = u * sinA - v * cosA;
    const up = (u * cosA + v * sinA) * sinE + cosE;
    const near = -(u * cosA + v * sinA) * cosE + sinE;
    const cosine = (-0.55 * right + 0.5 * up + 0.67 * near) / Math.hypot(u, v, 1);
    return [cosine > 0 ? cosine * (relief.LIGHTS - 1) : 0, near];
  },

  // tracks: [{points: [x, y, x, y, ...], color, width, halo, dash}]; they lie on the surface.
  paint(ctx, view, palette, tracks = []) {
    const { n, m } = view;
    const sheet = relief.fill(ctx, view, palette);
    const index = (count) => Float64Array.from({ length: count }, (_, k) => k);
    const lattice = { x: index(n), y: index(m) };
    ctx.save();
    ctx.setLineDash([]);
    Object.assign(ctx, { lineJoin: "round", lineCap: "round", strokeStyle: palette.line });
    Object.assign(ctx, { lineWidth: 0.6, globalAlpha: 0.32 });
    for (let k = 0; k < view.levels.length; k += 2) {
      for (const line of contour.lines(lattice, view.h, view.levels[k])) {
        relief.stroke(ctx, relief.runs(view, sheet, line));
      }
    }
    Object.assign(ctx, { lineWidth: 0.9, globalAlpha: 0.6 });
    relief.stroke(ctx, relief.runs(view, sheet, [0, 0, n - 1, 0, n - 1, m - 1, 0, m - 1, 0, 0]));
    relief.stroke(ctx, relief.edges(view));
    ctx.globalAlpha = 1;
    for (const track of tracks) relief.track(ctx, view, sheet, track);
    ctx.restore();
  },

  // Pixels and depths of the surface and its walls.
  fill(ctx, view, palette) {
    const { box, n, m, mesh } = view;
    const fine = raster.fineness(ctx, box, 1.25);
    const sheet = raster.blank(box, fine);
    // The wall that looks to the right, away from the lamp, is darker.
    const greys = view.cosA * view.sinA < 0 ? [1, 0.9] : [0.9, 1];
    const bands = view.levels.length - 1;
    const colors = raster.shades(bands, relief.LIGHTS, palette, greys);
    Object.assign(sheet, { bands, colors, lights: relief.LIGHTS + 2 });
    const at = (values, origin) => values.map((value) => (value - origin) * fine);
    const scaled = { ...mesh, x: at(mesh.x, box.left), y: at(mesh.y, box.top) };
    const quad = (a, b, c, d) => {
      raster.triangle(scaled, sheet, a, b, c);
      raster.triangle(scaled, sheet, a, c, d);
    };
    for (let j = 0; j < m - 1; j++) {
      for (let i = 0, a = j * n; i < n - 1; i++, a++) quad(a, a + 1, a + n + 1, a + n);
    }
    for (let a = n * m; a < mesh.count - 2; a += 2) {
      if (a !== n * m + 2 * n - 2) quad(a, a + 2, a + 3, a + 1);
    }
    raster.show(ctx, box, sheet);
    return sheet;
  },

  // Outlines of the walls below the rim.
  edges({ n, m, mesh }) {
    const wall = (first, last) => {
      const corners = [first, first + 1, last + 1, last].map((k) => n * m + k);
      return corners.flatMap((at) => [mesh.x[at], mesh.y[at]]);
    };
    const walls = [wall(0, 2 * n - 2), wall(2 * n, 2 * (n + m) - 2)];
    return walls.filter((run) => run.every(Number.isFinite));
  },

  track(ctx, view, sheet, { points, color, width, halo, dash }) {
    const places = new Float64Array(points.length);
    for (let k = 0; k + 1 < points.length; k += 2) {
      [places[k], places[k + 1]] = relief.lattice(view, points[k], points[k + 1]);
    }
    const runs = relief.runs(view, sheet, places);
    if (halo) {
      Object.assign(ctx, { strokeStyle: halo, lineWidth: width + 1.8 });
      relief.stroke(ctx, runs);
    }
    ctx.setLineDash(dash || []);
    Object.assign(ctx, { strokeStyle: color, lineWidth: width });
    relief.stroke(ctx, runs);
    ctx.setLineDash([]);
  },

  stroke(ctx, runs) {
    ctx.beginPath();
    for (const run of runs) {
      for (let k = 0; k < run.length; k += 2) {
        if (k === 0) ctx.moveTo(run[0], run[1]);
        else ctx.lineTo(run[k], run[k + 1]);
      }
    }
    ctx.stroke();
  },

  // The pieces of a line, given on the lattice, that are seen, in pixels: it is laid on the surface in
  // steps of half a quad, and what lies deeper than the picture is there is hidden.
  runs(view, sheet, points) {
    const { mesh } = view;
    const runs = [];
    let run = null;
    const add = (u, v) => {
      const x = raster.interpolate(view, mesh.x, u, v);
      const y = raster.interpolate(view, mesh.y, u, v);
      const deep = raster.interpolate(view, mesh.depth, u, v);
      const facing = raster.interpolate(view, mesh.facing, u, v);
      if (!(facing > -0.02 && relief.shown(view, sheet, x, y, deep))) run = null;
      else if (run) run.push(x, y);
      else runs.push((run = [x, y]));
    };
    let [u0, v0] = points;
    for (let k = 0; k + 1 < points.length; k += 2) {
      const [u, v] = [points[k], points[k + 1]];
      const far = Math.max(Math.abs(u - u0), Math.abs(v - v0));
      if (far < 0.04 && k > 0 && k + 3 < points.length) continue; // where it hardly moves
      const [from, to] = marks.cut(u0, v0, u - u0, v - v0, view.n - 1, view.m - 1);
      if (from !== 0) run = null;
      const count = from <= to ? Math.ceil(2 * (to - from) * far) || 1 : -1;
      const last = k === 0 ? Math.min(count, 0) : count;
      for (let part = from > 0 || k === 0 ? 0 : 1; part <= last; part++) {
        const share = from + (part / count) * (to - from);
        add(...relief.hold(view, u0 + share * (u - u0), v0 + share * (v - v0)));
      }
      if (to !== 1) run = null;
      [u0, v0] = [u, v];
    }
    return runs;
  },

  // Nothing is drawn in front of a pixel, give or take what one pixel of a steep slope is deep.
  shown(view, { fine, width, height, depth }, x, y, deep) {
    const column = Math.floor((x - view.box.left) * fine);
    const row = Math.floor((y - view.box.top) * fine);
    if (column < 0 || row < 0 || column >= width || row >= height) return true;
    return deep < depth[row * width + column] + 0.015;
  },

  hold(view, u, v) {
    return [Math.min(Math.max(u, 0), view.n - 1), Math.min(Math.max(v, 0), view.m - 1)];
  },

  // A place on the lattice.
  lattice(view, x, y) {
    const [across, up] = [view.x1 - view.x0, view.y1 - view.y0];
    return [((x - view.x0) / across) * (view.n - 1), ((y - view.y0) / up) * (view.m - 1)];
  },

  // Height of the surface as it is drawn; NaN outside.
  on(view, x, y) {
    return raster.interpolate(view, view.h, ...relief.lattice(view, x, y));
  },

  // Data coordinates under a pixel, where the surface is nearest; null beside it and on walls.
  pick(view, px, py) {
    if (relief.walled(view, px, py)) return null;
    let [found, least] = [null, Infinity];
    for (let j = 0; j < view.m - 1; j++) {
      for (let i = 0; i < view.n - 1; i++) {
        const hit = relief.hit(view, i, j, px, py);
        if (hit && hit.depth < least) [found, least] = [hit, hit.depth];
      }
    }
    if (!found) return null;
    const [u, v] = [found.u / (view.n - 1), found.v / (view.m - 1)];
    return { x: view.x0 + u * (view.x1 - view.x0), y: view.y0 + v * (view.y1 - view.y0) };
  },

  // Whether a pixel lies on one of the two triangles of a quad, and where.
  hit({ n, mesh: { x, y, depth } }, i, j, px, py) {
    const a = j * n + i;
    const c = a + n + 1;
    for (const b of [a + 1, a + n]) {
      const [ux, uy, vx, vy] = [x[b] - x[a], y[b] - y[a], x[c] - x[b], y[c] - y[b]];
      const area = ux * vy - uy * vx;
      const s = ((px - x[a]) * vy - (py - y[a]) * vx) / area;
      const t = (ux * (py - y[a]) - uy * (px - x[a])) / area;
      if (!(t >= -1e-9 && s >= t - 1e-9 && s <= 1 + 1e-9)) continue;
      const [u, v] = b === a + 1 ? [s, t] : [t, s];
      return { u: i + u, v: j + v, depth: raster.between(s, t, depth[a], depth[b], depth[c]) };
    }
    return null;
  },

  // Walls stand upright in the picture as well, and nothing stands before them.
  walled({ n, m, mesh: { x, y } }, px, py) {
    for (let k = 0, a = n * m; k < n + m - 1; k++, a += 2) {
      const share = (px - x[a]) / (x[a + 2] - x[a]);
      if (k === n - 1 || !(share >= 0 && share <= 1)) continue;
      const at = (k) => y[k] + share * (y[k + 2] - y[k]);
      if (py > at(a) + 1e-6 && py < at(a + 1)) return true;
    }
    return false;
  },

  // Whether a place of the surface can be seen: what is picked at its pixel lies next to it.
  seen(view, x, y) {
    const [px, py] = view.project(x, y, relief.on(view, x, y));
    const found = relief.pick(view, px, py);
    if (!found) return false;
    const [[a, b], [c, d]] = [relief.lattice(view, x, y), relief.lattice(view, found.x, found.y)];
    return Math.hypot(a - c, b - d) < 2;
  },
};
