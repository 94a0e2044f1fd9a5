// What one optimizer knows at its head, as lines over the surface: the shapes of its state, and the quadratic model.
const insight = {
  SAYS: {
    inverse_hessian: "solid ellipse: the inverse Hessian it has learnt; dashed: the true one, where it is positive",
    scaling: "ellipse: by how much it stretches each entry of the gradient",
    region: "ellipse: the region where it trusts its model",
    direction: "line: the direction of its search, with the trials; fainter: the direction before",
    velocity: "arrow: its velocity",
  },

  // {lines: [{points, dash, width, strength}], dots: [[x, y]], cross: [x, y] or null, says} of a course at a step.
  of(course, optimizer, scene, k) {
    const named = insight.shapes(course, optimizer, k);
    const local = insight.local(course, optimizer, scene, k);
    const found = { lines: [], dots: [], cross: null, says: [] };
    for (const [name, shape] of Object.entries(named)) {
      if (!Array.from(shape).every(Number.isFinite)) continue;
      insight[name](found, shape, local, course, optimizer, k);
      found.says.push(insight.SAYS[name]);
    }
    insight.model(found, local);
    return found;
  },

  shapes(course, optimizer, k) {
    const found = course.program.shapes([...course.given, ...course.states[k]]);
    return Object.fromEntries(optimizer.shapes.map((name, j) => [name, found[j]]));
  },

  // The point, and the surface there: gradient, Hessian, its eigenvalues; the size of the box.
  local(course, optimizer, scene, k) {
    const x = [course.xy[2 * k], course.xy[2 * k + 1]];
    const surface = programs.surfaces[scene.index];
    const place = Float64Array.from(x);
    const size = [0, 1].map((i) => scene.domain[1][i] - scene.domain[0][i]);
    return { x, g: surface[1]([place])[0], H: surface[2]([place])[0], size };
  },

  eigen([a, b, , d]) {
    const middle = (a + d) / 2;
    const half = Math.hypot((a - d) / 2, b);
    const angle = Math.atan2(2 * b, a - d) / 2;
    return { large: middle + half, small: middle - half, angle };
  },

  inverse([a, b, c, d]) {
    const det = a * d - b * c;
    return [d / det, -b / det, -c / det, a / det];
  },

  // {x + s p: p^T M^-1 p = 1} for a positive M.
  ellipse(x, M, s) {
    const { large, small, angle } = insight.eigen(M);
    const points = new Float64Array(2 * 73);
    for (let k = 0; k <= 72; k++) {
      const t = (2 * Math.PI * k) / 72;
      const [u, v] = [s * Math.sqrt(large) * Math.cos(t), s * Math.sqrt(small) * Math.sin(t)];
      points[2 * k] = x[0] + u * Math.cos(angle) - v * Math.sin(angle);
      points[2 * k + 1] = x[1] + u * Math.sin(angle) + v * Math.cos(angle);
    }
    return points;
  },

  // A factor that makes the longest half-axis a share of the box: only the form of such an ellipse says something.
  fit(M, size, share = 0.12) {
    return (share * Math.min(...size)) / Math.sqrt(Math.abs(insight.eigen(M).large));
  },

  inverse_hessian(found, M, { x, H, size }) {
    if (insight.eigen(M).small <= 0) return;
    const s = insight.fit(M, size);
    found.lines.push({ points: insight.ellipse(x, M, s), width: 1.8 });
    if (insight.eigen(H).small > 0) found.lines.push({ points: insight.ellipse(x, insight.inverse(H), s), width: 1.2, dash: [4, 3] });
  },

  scaling(found, [a, b], { x, size }) {
    const M = [a * a, 0, 0, b * b];
    found.lines.push({ points: insight.ellipse(x, M, insight.fit(M, size)), width: 1.8 });
  },

  region(found, M, { x }) {
    found.lines.push({ points: insight.ellipse(x, M, 1), width: 1.8 });
  },

  velocity(found, v, { x }) {
    insight.arrow(found, x, v);
  },

  arrow(found, x, v) {
    const tip = [x[0] + v[0], x[1] + v[1]];
    const back = (turn) => [
      tip[0] - 0.22 * (v[0] * Math.cos(turn) - v[1] * Math.sin(turn)),
      tip[1] - 0.22 * (v[0] * Math.sin(turn) + v[1] * Math.cos(turn)),
    ];
    found.lines.push({ points: Float64Array.of(...x, ...tip), width: 2 });
    found.lines.push({ points: Float64Array.of(...back(0.5), ...tip, ...back(-0.5)), width: 2 });
  },

  // All states of one search share its direction: so trials are told from iterations.
  direction(found, d, { size }, course, optimizer, k) {
    const at = (j) => insight.shapes(course, optimizer, j).direction;
    const same = (a, b) => a[0] === b[0] && a[1] === b[1];
    let first = k;
    while (first > 0 && same(at(first - 1), d)) first--;
    const base = Math.max(0, first - 1);
    const place = (j) => [course.xy[2 * j], course.xy[2 * j + 1]];
    for (let j = first; j <= k; j++) if (j > 0) found.dots.push(place(j));
    insight.ray(found, place(base), d, size, 1);
    if (first < 2) return;
    const before = at(first - 1);
    let earlier = first - 1;
    while (earlier > 0 && same(at(earlier - 1), before)) earlier--;
    insight.ray(found, place(Math.max(0, earlier - 1)), before, size, 0.4);
  },

  ray(found, x, d, size, strength) {
    const length = Math.hypot(d[0] / size[0], d[1] / size[1]);
    if (!(length > 0)) return;
    const far = 0.3 / length;
    found.lines.push({ points: Float64Array.of(...x, x[0] + far * d[0], x[1] + far * d[1]), width: 1.4, strength });
  },

  // Where the quadratic model of the surface has no slope: Newton's full step goes there.
  model(found, { x, g, H }) {
    const inverse = insight.inverse(H);
    const step = [-(inverse[0] * g[0] + inverse[1] * g[1]), -(inverse[2] * g[0] + inverse[3] * g[1])];
    if (!step.every(Number.isFinite) || Math.hypot(...g) === 0) return;
    found.cross = [x[0] + step[0], x[1] + step[1]];
    found.lines.push({ points: Float64Array.of(...x, ...found.cross), width: 1, dash: [2, 3] });
    const small = insight.eigen(H).small;
    const kind = small > 0 ? "its minimum" : insight.eigen(H).large < 0 ? "its maximum" : "its saddle";
    found.says.push(`dotted: to where the quadratic model of the surface here has no slope, ${kind}`);
  },
};
