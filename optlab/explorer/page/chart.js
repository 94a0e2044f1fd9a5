// Values against steps or time: one line for each series, named at its right end.
const chart = {
  // series: [{name, label, color, dash, marker, x, y, head, muted}]; points past `head` and those that
  // are not finite are not drawn. Returns what `nearest` wants.
  draw(ctx, box, series, options) {
    const axis = chart.axes(series, options);
    const plot = chart.plot(ctx, box, series, options);
    const layout = { ...chart.scales(axis, plot), axis, plot, series };
    const heads = series.map((each) => chart.head(each, layout));
    ctx.save();
    Object.assign(ctx, { lineJoin: "round", lineCap: "butt", globalAlpha: 1 });
    chart.frame(ctx, box, layout, options);
    ctx.save();
    ctx.beginPath();
    ctx.rect(plot.left, plot.top - 1, plot.width + 6, plot.height + 2);
    ctx.clip();
    // The first one is drawn last, on top.
    const order = series.slice().reverse().sort((a, b) => !!b.muted - !!a.muted);
    for (const each of order) chart.line(ctx, each, layout, options.palette);
    ctx.restore();
    chart.labels(ctx, layout, heads, options.palette);
    ctx.restore();
    return layout;
  },

  // Ranges of both axes, from all points that are given, so that they stand still while heads move.
  axes(series, options) {
    let [least, low, high, last] = [Infinity, Infinity, -Infinity, 0];
    for (const { x, y } of series) {
      for (let k = 0; k < x.length; k++) {
        if (!Number.isFinite(x[k]) || !Number.isFinite(y[k])) continue;
        last = Math.max(last, x[k]);
        low = Math.min(low, y[k]);
        high = Math.max(high, y[k]);
        if (y[k] > 0) least = Math.min(least, y[k]);
      }
    }
    const axis = { signed: !!options.signed, unit: options.unit || 1 };
    axis.last = Math.max(options.xMax || last, 1);
    axis.floor = options.floor || (least < Infinity ? least : 1);
    if (!(low <= high)) [low, high] = axis.signed ? [0, 0] : [axis.floor, 10 * axis.floor];
    // How far diverged runs got is not worth the room.
    const start = series.map(({ y }) => Math.abs(y[0])).filter(Number.isFinite);
    const most = 1e4 * Math.max(0, ...start) || Infinity;
    [low, high] = [axis.signed ? Math.max(low, -most) : low, Math.min(high, most)];
    axis.floored = !!options.floor && low <= options.floor;
    return chart.margins(axis, chart.height(axis, low), chart.height(axis, high));
  },

  margins(axis, low, high) {
    const middle = (low + high) / 2;
    const half = Math.max((high - low) / 2, 0.25);
    axis.low = axis.floored ? low - 0.04 * (high - low) - 0.1 : middle - 1.05 * half;
    axis.high = axis.floored ? Math.max(high + 0.03 * (high - low), low + 1) : middle + 1.06 * half;
    return axis;
  },

  // Where a value stands on the vertical scale, in decades.
  height(axis, y) {
    if (axis.signed) return Math.sign(y) * Math.log10(1 + Math.abs(y) / axis.unit);
    return Math.log10(Math.max(y, axis.floor));
  },

  // The plot within the box: room for ticks and title, and on the right for the names.
  plot(ctx, box, series, { title, xLabel, yLabel }) {
    const small = box.width < 420;
    const size = small ? 9.5 : 11;
    ctx.font = marks.font(size);
    const named = series.filter((each) => !each.muted);
    const widest = Math.max(0, ...named.map((each) => ctx.measureText(each.label).width));
    ctx.font = marks.font(size - 2);
    const note = small ? 0 : ctx.measureText("−1.2e−99").width + 6;
    const most = small ? Math.max(70, 0.27 * box.width) : Math.max(140, 0.3 * box.width);
    const gutter = named.length ? Math.min(32 + widest + note, most) : 12;
    const [left, top, below] = [small ? 36 : 42, title || yLabel ? 26 : 10, xLabel ? 36 : 22];
    const width = Math.max(box.width - left - gutter, 20);
    const height = Math.max(box.height - top - below, 20);
    const place = { left: box.left + left, top: box.top + top, width, height };
    return { ...place, gutter, size, note: note > 0 };
  },

  scales(axis, plot) {
    const across = plot.width / Math.log1p(axis.last);
    const up = plot.height / (axis.high - axis.low);
    return {
      toX: (x) => plot.left + across * Math.log1p(Math.max(x, 0)),
      toY: (y) => plot.top + up * (axis.high - chart.height(axis, y)),
    };
  },

  // At least `room` pixels apart.
  ticks({ axis, plot }, room) {
    const gap = (room * (axis.high - axis.low)) / plot.height;
    if (axis.signed) return marks.signedTicks(axis.low, axis.high, axis.unit, gap);
    return marks.logTicks(axis.floored ? Math.log10(axis.floor) + 1e-9 : axis.low, axis.high, gap);
  },

  // Title, ticks with faint lines, names of the axes, the floor.
  frame(ctx, box, layout, { title, xLabel, yLabel, palette }) {
    const { plot, axis } = layout;
    const bottom = plot.top + plot.height;
    Object.assign(ctx, { fillStyle: palette.quiet, font: marks.font(10), lineWidth: 0.8 });
    Object.assign(ctx, { textAlign: "right", textBaseline: "middle", strokeStyle: palette.faint });
    ctx.setLineDash([]);
    for (const { y, text } of chart.ticks(layout, 24)) {
      chart.rule(ctx, plot.left, layout.toY(y), plot.width);
      ctx.fillText(text, plot.left - 6, layout.toY(y));
    }
    chart.steps(ctx, layout, palette, bottom);
    Object.assign(ctx, { textAlign: "right", fillStyle: palette.quiet });
    if (xLabel) ctx.fillText(xLabel, plot.left + plot.width, bottom + 20);
    ctx.strokeStyle = palette.quiet;
    ctx.setLineDash([4, 3]);
    const zero = axis.signed && axis.low < 0 && axis.high > 0;
    const least = layout.toY(zero ? 0 : axis.floor);
    if (zero || axis.floored) chart.rule(ctx, plot.left, least, plot.width);
    ctx.setLineDash([]);
    Object.assign(ctx, { textAlign: "left", textBaseline: "alphabetic", font: marks.font(9) });
    if (axis.floored) ctx.fillText(`< ${marks.number(axis.floor)}`, plot.left + 5, least - 4);
    chart.titles(ctx, box, title, yLabel, palette);
  },

  rule(ctx, x, y, width) {
    chart.path(ctx, [[x, y], [x + width, y]]);
  },

  path(ctx, points) {
    ctx.beginPath();
    points.forEach(([x, y], k) => (k ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
    ctx.stroke();
  },

  // Ticks at 0, 1, 10, 100 ..., and small ones between.
  steps(ctx, { axis, plot, toX }, palette, bottom) {
    Object.assign(ctx, { textAlign: "center", textBaseline: "top", strokeStyle: palette.quiet });
    ctx.globalAlpha = 0.55;
    chart.rule(ctx, plot.left, bottom, plot.width);
    ctx.globalAlpha = 1;
    let free = -Infinity;
    const tick = (x, length) => ctx.fillRect(toX(x) - 0.4, bottom, 0.8, length);
    tick(0, 4);
    for (let power = -1; 10 ** power <= axis.last; power++) {
      const x = power < 0 ? 0 : 10 ** power;
      const text = power < 0 ? "0" : marks.tens(power);
      const half = ctx.measureText(text).width / 2;
      for (let k = 1; k < 10 && x > 0 && k * x <= axis.last; k++) tick(k * x, k === 1 ? 4 : 2);
      if (toX(x) - half < free) continue;
      ctx.fillText(text, toX(x), bottom + 6);
      free = toX(x) + half + 5;
    }
  },

  // The name of the vertical axis stands in the line of the title: nothing to turn one's head for.
  titles(ctx, box, title, yLabel, palette) {
    const [x, y] = [box.left + 4, box.top + 13];
    Object.assign(ctx, { textAlign: "left", textBaseline: "alphabetic", fillStyle: palette.ink });
    ctx.font = marks.font(12, "600");
    if (title) ctx.fillText(title, x, y);
    const after = title ? x + ctx.measureText(title).width + 10 : x;
    Object.assign(ctx, { fillStyle: palette.quiet, font: marks.font(10) });
    if (yLabel) ctx.fillText(yLabel, after, y);
  },

  // The last point that is drawn, in pixels; an arrow where it is beyond the plot. Or null.
  head(each, { plot, toX, toY }) {
    let k = Math.min(each.head ?? Infinity, each.x.length - 1);
    while (k >= 0 && !(Number.isFinite(each.x[k]) && Number.isFinite(each.y[k]))) k--;
    if (k < 0) return null;
    const [x, y] = [toX(each.x[k]), toY(each.y[k])];
    const value = each.y[k];
    const held = Math.min(Math.max(y, plot.top), plot.top + plot.height);
    const right = plot.left + plot.width;
    if (held === y) return { x: Math.min(x, right), y, marker: each.marker, value };
    // Where it leaves for good, not how far it got.
    while (k > 0 && !((toY(each.y[k]) - held) * (y - held) <= 0)) k--;
    return { x: Math.min(toX(each.x[k]), right), y: held, marker: held > y ? "^" : "v", value };
  },

  // Pixels of a line. More than five points in a column three pixels wide become their middle, and a
  // band from the least to the largest: an oscillation drawn in full is a blot.
  columns({ x, y, head }, { toX, toY }) {
    const [points, band] = [[], []];
    let [column, held] = [NaN, []];
    const close = () => {
      if (held.length < 6) return points.push(...held.splice(0));
      const heights = held.splice(0).map((point) => point[1]);
      const [least, most] = contour.range(heights);
      points.push([column, heights.reduce((a, b) => a + b) / heights.length]);
      if (most - least < 4) return null;
      if (!(column - band.at(-1)?.at(-1)[0] < 4)) band.push([]);
      return band.at(-1).push([column, least, most]);
    };
    for (let k = 0; k < x.length && k <= (head ?? Infinity); k++) {
      if (!Number.isFinite(x[k]) || !Number.isFinite(y[k])) continue;
      const place = [toX(x[k]), toY(y[k])];
      const next = 3 * Math.floor(place[0] / 3) + 1.5;
      if (next !== column) close();
      column = next;
      held.push(place);
    }
    const last = held.at(-1);
    close();
    if (last && points.at(-1) !== last) points.push(last);
    return { points, band };
  },

  line(ctx, each, layout, palette) {
    const { points, band } = chart.columns(each, layout);
    if (!points.length) return;
    ctx.setLineDash([]);
    Object.assign(ctx, { fillStyle: each.color, globalAlpha: 0.14 });
    for (const piece of each.muted ? [] : band) {
      ctx.beginPath();
      for (const [x, least] of piece) ctx.lineTo(x, least);
      for (const [x, , most] of piece.slice().reverse()) ctx.lineTo(x, most);
      ctx.fill();
    }
    ctx.globalAlpha = 1;
    if (!each.muted) {
      Object.assign(ctx, { strokeStyle: palette.paper, lineWidth: 3.4 });
      chart.path(ctx, points);
    }
    ctx.setLineDash(each.dash || []);
    const [lineWidth, globalAlpha] = each.muted ? [0.9, 0.28] : [1.6, 1];
    Object.assign(ctx, { strokeStyle: each.color, lineWidth, globalAlpha });
    chart.path(ctx, points);
    ctx.globalAlpha = 1;
    ctx.setLineDash([]);
  },

  // Series to be named, from the top down, such that few leaders cross: what ends at one place stands
  // in the given order, the best one on top. As many as there is room for.
  stacking(layout, heads) {
    const { plot, plot: { size }, series } = layout;
    const most = Math.floor(plot.height / Math.min(size + 1, 10.5));
    const named = heads.map((head, k) => k).filter((k) => heads[k] && !series[k].muted);
    const near = (k) => Math.round(heads[k].y / (0.5 * size));
    return named.slice(0, most).sort((a, b) => near(a) - near(b) || a - b);
  },

  labels(ctx, layout, heads, palette) {
    const { plot, series } = layout;
    const order = chart.stacking(layout, heads);
    const room = Math.min(plot.size + 4, plot.height / Math.max(order.length, 1));
    let lowest = -Infinity; // the order is settled: a rising sequence of wishes keeps it
    const wanted = order.map((k) => (lowest = Math.max(lowest, heads[k].y)));
    const [top, bottom] = [plot.top + room / 2, plot.top + plot.height - room / 2];
    const places = marks.spread(wanted, room, top, bottom);
    const edge = plot.left + plot.width + 12;
    order.forEach((k, rank) => chart.leader(ctx, heads[k], edge, places[rank], series[k].color));
    for (const k of [...order].reverse()) {
      marks.draw(ctx, heads[k].marker, heads[k].x, heads[k].y, 7, series[k].color, palette.paper);
    }
    const size = Math.min(plot.size, room - 0.5);
    order.forEach((k, rank) => {
      chart.name(ctx, series[k], heads[k], [edge, places[rank]], size, layout, palette);
    });
  },

  leader(ctx, head, edge, y, color) {
    Object.assign(ctx, { strokeStyle: color, lineWidth: 0.7, globalAlpha: 0.5 });
    chart.path(ctx, [[head.x, head.y], [edge - 4, y], [edge, y]]);
    ctx.globalAlpha = 1;
  },

  // Marker, name and last value; the name is cut where it is too long.
  name(ctx, each, head, [edge, y], size, { plot, axis }, palette) {
    marks.draw(ctx, each.marker, edge + 5, y, Math.min(6.5, size - 2), each.color, palette.paper);
    Object.assign(ctx, { font: marks.font(size), textAlign: "left", textBaseline: "middle" });
    const floored = axis.floored && head.value <= axis.floor;
    const value = floored ? `< ${marks.number(axis.floor)}` : marks.number(head.value);
    const room = plot.gutter - 28 - (plot.note ? 50 : 0);
    let text = each.label;
    while (text.length > 2 && ctx.measureText(text).width > room) {
      text = `${text.slice(0, -2).trimEnd()}…`;
    }
    ctx.fillStyle = palette.ink;
    ctx.fillText(text, edge + 13, y);
    if (!plot.note) return;
    const after = edge + 18 + ctx.measureText(text).width;
    Object.assign(ctx, { font: marks.font(size - 2), fillStyle: palette.quiet });
    ctx.fillText(value, after, y + 0.5);
  },

  // The drawn point nearest to a pixel, of what is not muted; null where none is within `reach`.
  nearest({ series, plot, toX, toY }, px, py, reach = 30) {
    let [found, least] = [null, reach * reach];
    for (const each of series.filter(({ muted }) => !muted)) {
      for (let k = 0; k < each.x.length && k <= (each.head ?? Infinity); k++) {
        const [x, y] = [toX(each.x[k]), Math.max(toY(each.y[k]), plot.top)];
        const gap = (x - px) ** 2 + (y - py) ** 2;
        if (!(gap < least) || !Number.isFinite(each.y[k])) continue;
        least = gap;
        found = { series: each, index: k, x: each.x[k], y: each.y[k], px: x, py: y };
      }
    }
    return found;
  },
};
