// A surface seen from above, as a quiet background: the scale of its heights, its level lines.
// A grid is {x: n, y: m, z: m x n, row after row}; z may hold values that are not finite.
const contour = {
  // One hue, little of it, the darkest at the minimum: coloured paths stand out from either.
  LIGHT: {
    low: "#2b4a6b",
    high: "#fbfbf9",
    line: "#3d5a78",
    label: "#2b4a6b",
    halo: "#eef1f4",
    ink: "#1d2733",
    quiet: "#5d6875",
    faint: "#d5dae0",
    paper: "#ffffff",
  },
  DARK: {
    low: "#0a1420",
    high: "#46586c",
    line: "#a9bdd2",
    label: "#c3d0de",
    halo: "#1c2836",
    ink: "#e8ecf1",
    quiet: "#9aa6b4",
    faint: "#2c3641",
    paper: "#12171e",
  },

  // What heights are measured from, the smallest one told apart, whether the scale has two signs.
  // Without a known minimum: the smallest value seen, or, where both signs are seen, 0.
  scale(grid, minimum) {
    const seen = grid.z.filter(Number.isFinite).sort();
    const known = minimum !== null && minimum !== undefined;
    if (!seen.length) return { floor: known ? minimum : 0, unit: 1, signed: false };
    if (!known && seen[0] < 0 && seen.at(-1) > 0) {
      const sizes = seen.map(Math.abs).sort();
      const half = sizes.length >> 1;
      const median = sizes.length % 2 ? sizes[half] : (sizes[half - 1] + sizes[half]) / 2;
      // A tenth of a typical height: nearer to 0 the logarithm would show noise.
      return { floor: 0, unit: 0.1 * median || 1, signed: true };
    }
    const floor = known ? minimum : seen[0];
    const above = seen.map((value) => value - floor).filter((value) => value > 0);
    // One grid point in a thousand lies lower: they are the bottom of the wells.
    const unit = above.length ? above[Math.floor(0.001 * above.length)] : 1;
    return { floor, unit, signed: false };
  },

  // Where a value stands on the logarithmic scale, in decades.
  height(scale, value) {
    const above = value - scale.floor;
    if (scale.signed) return Math.sign(above) * Math.log10(1 + Math.abs(above) / scale.unit);
    return Math.log10(Math.max(above, 0) + scale.unit);
  },

  heights(scale, grid) {
    return grid.z.map((value) => contour.height(scale, value));
  },

  // The smallest and the largest of the finite ones.
  range(values) {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      if (!Number.isFinite(value)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return low <= high ? [low, high] : [0, 0];
  },

  // Equally spaced heights, about 26 of them, that hit each decade (and 0 on a signed surface).
  levels(scale, grid, about = 26) {
    return contour.ladder(contour.range(contour.heights(scale, grid)), about);
  },

  ladder([low, high], about = 26) {
    if (high - low < 1e-12) return Float64Array.of(low - 1, low, low + 1);
    const off = (step) => Math.abs(Math.log((step * about) / (high - low)));
    const step = [0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1].reduce((a, b) => (off(b) < off(a) ? b : a));
    const first = Math.floor(low / step);
    const count = Math.ceil(high / step) + 1 - first;
    return Float64Array.from({ length: count }, (_, k) => step * (first + k));
  },

  // The powers of ten within the levels; `value` is above the floor.
  decades(scale, levels) {
    const found = [];
    for (let power = -16; power <= 16; power++) {
      const size = Number(`1e${power}`);
      for (const value of scale.signed ? [size, -size] : [size]) {
        const height = contour.height(scale, value + scale.floor);
        if (!(levels[0] < height && height < levels.at(-1) && size > scale.unit)) continue;
        found.push({ height, value, text: (value < 0 ? "−" : "") + marks.tens(power) });
      }
    }
    if (scale.signed) found.push({ height: 0, value: 0, text: "0" });
    return found;
  },

  // Marching squares. A line passes an edge of the lattice at most once, so edges are the nodes that
  // pieces join: 2 (j n + i) from point (i, j) to the right, and one more for the edge upwards.
  lines(grid, heights, level) {
    const [n, m] = [grid.x.length, grid.y.length];
    const links = new Int32Array(4 * n * m).fill(-1);
    const nodes = [];
    const join = (a, b) => {
      for (const [from, to] of [[a, b], [b, a]]) {
        if (links[2 * from] < 0) links[2 * from] = to;
        else links[2 * from + 1] = to;
      }
      nodes.push(a, b);
    };
    for (let j = 0; j < m - 1; j++) {
      for (let i = 0; i < n - 1; i++) {
        const at = j * n + i;
        const a = heights[at];
        const b = heights[at + 1];
        const c = heights[at + n + 1];
        const d = heights[at + n];
        const sum = a + b + c + d;
        const kind = (a >= level) | ((b >= level) << 1) | ((c >= level) << 2) | ((d >= level) << 3);
        if (kind === 0 || kind === 15 || sum - sum !== 0) continue;
        const sides = [2 * at, 2 * (at + 1) + 1, 2 * (at + n), 2 * at + 1];
        contour.cross(kind, sum / 4 >= level, sides, join);
      }
    }
    return contour.chains(grid, heights, level, links, nodes);
  },

  // Joins the edges (bottom, right, top, left) of one cell between corners of either side.
  // In a saddle cell the middle decides which two corners are connected.
  cross(kind, middle, [bottom, right, top, left], join) {
    if (kind === 5 || kind === 10) {
      const connected = middle === (kind === 5);
      join(bottom, connected ? right : left);
      join(top, connected ? left : right);
      return;
    }
    const [a, b, c, d] = [kind & 1, (kind >> 1) & 1, (kind >> 2) & 1, (kind >> 3) & 1];
    const edges = [a !== b && bottom, b !== c && right, c !== d && top, d !== a && left];
    join(...edges.filter((edge) => edge !== false));
  },

  // Follows the links: open lines from their ends first, what is left are rings.
  chains(grid, heights, level, links, nodes) {
    const used = new Set();
    const found = [];
    for (const open of [true, false]) {
      for (const start of nodes) {
        if (used.has(start) || (open && links[2 * start + 1] >= 0)) continue;
        const chain = [start];
        used.add(start);
        for (let at = start, next = 0; next >= 0; ) {
          const [one, two] = [links[2 * at], links[2 * at + 1]];
          next = one >= 0 && !used.has(one) ? one : two >= 0 && !used.has(two) ? two : -1;
          if (next < 0) break;
          used.add(next);
          chain.push((at = next));
        }
        if (!open) chain.push(start);
        found.push(contour.polyline(grid, heights, level, chain));
      }
    }
    return found;
  },

  // The places on the lattice's edges where the height is the level.
  polyline(grid, heights, level, chain) {
    const n = grid.x.length;
    const points = new Float64Array(2 * chain.length);
    chain.forEach((node, k) => {
      const at = node >> 1;
      const [i, j, up] = [at % n, Math.floor(at / n), node & 1];
      const [a, b] = [heights[at], heights[at + (up ? n : 1)]];
      const share = (level - a) / (b - a);
      points[2 * k] = up ? grid.x[i] : grid.x[i] + share * (grid.x[i + 1] - grid.x[i]);
      points[2 * k + 1] = up ? grid.y[j] + share * (grid.y[j + 1] - grid.y[j]) : grid.y[j];
    });
    return points;
  },

  // Pixels of the box, y upwards.
  project(box, grid) {
    const [x0, x1, y0, y1] = [grid.x[0], grid.x.at(-1), grid.y[0], grid.y.at(-1)];
    return (x, y) => [
      box.left + (box.width * (x - x0)) / (x1 - x0),
      box.top + box.height - (box.height * (y - y0)) / (y1 - y0),
    ];
  },

  // Bands, lines, decades with labels. options.avoid: pixels that no label shall cover.
  paint(ctx, box, grid, scale, palette, options = {}) {
    const heights = contour.heights(scale, grid);
    const levels = contour.levels(scale, grid);
    const decades = contour.decades(scale, levels);
    const draw = (level) => contour.stroke(ctx, box, grid, contour.lines(grid, heights, level));
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.left, box.top, box.width, box.height);
    ctx.clip();
    raster.fill(ctx, box, grid, heights, levels, palette);
    ctx.setLineDash([]);
    ctx.lineJoin = "round";
    Object.assign(ctx, { strokeStyle: palette.line, lineWidth: 0.55, globalAlpha: 0.28 });
    for (let k = 0; k < levels.length; k += 2) draw(levels[k]);
    Object.assign(ctx, { lineWidth: 0.8, globalAlpha: 0.5 });
    const drawn = decades.map(({ height }) => draw(height));
    if (scale.signed) {
      ctx.setLineDash([6, 3]);
      Object.assign(ctx, { strokeStyle: palette.ink, lineWidth: 1.2, globalAlpha: 0.85 });
      draw(0);
    }
    ctx.globalAlpha = 1;
    const { labels = true, avoid = [] } = options;
    if (labels) contour.label(ctx, box, decades, drawn, palette, avoid);
    ctx.restore();
  },

  // Draws lines given in data coordinates; returns them in pixels.
  stroke(ctx, box, grid, lines) {
    const to = contour.project(box, grid);
    const pixels = lines.map((line) => {
      const points = [];
      for (let k = 0; k < line.length; k += 2) points.push(to(line[k], line[k + 1]));
      return points;
    });
    ctx.beginPath();
    for (const points of pixels) {
      points.forEach(([x, y], k) => (k ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
    }
    ctx.stroke();
    return pixels;
  },

  // A label for each decade, where its line is farthest from `avoid` and from other labels.
  label(ctx, box, decades, drawn, palette, avoid) {
    const every = Math.ceil(avoid.length / 500);
    const taken = avoid.filter((_, k) => k % every === 0);
    const gap = ([x, y]) => {
      let least = 0.15 ** 2;
      for (const [u, v] of taken) {
        least = Math.min(least, ((x - u) / box.width) ** 2 + ((y - v) / box.height) ** 2);
      }
      return Math.sqrt(least);
    };
    const inside = ([x, y]) =>
      Math.min(x - box.left, box.left + box.width - x) > Math.max(20, 0.06 * box.width) &&
      Math.min(y - box.top, box.top + box.height - y) > Math.max(12, 0.06 * box.height);
    Object.assign(ctx, { font: marks.font(10), textAlign: "center", textBaseline: "middle" });
    decades.forEach(({ text }, k) => {
      const spots = drawn[k].filter((line) => line.length > 12).flat().filter(inside);
      const gaps = spots.map((spot, at) => (at % 3 ? 0 : gap(spot)));
      const best = gaps.reduce((a, b, at) => (b > gaps[a] ? at : a), 0);
      if (!spots.length || gaps[best] < 0.025) return;
      taken.push(spots[best]);
      marks.write(ctx, text, ...spots[best], palette.label, palette.halo);
    });
  },
};
