// What all drawings share: marker shapes, short numbers, ticks, mixed colours, places for labels.
const marks = {
  // matplotlib's shapes as polygons, y upwards, in a square from -1 to 1.
  SHAPES: {
    s: [-1, -1, 1, -1, 1, 1, -1, 1],
    v: [0, -1, 1, 1, -1, 1],
    "^": [0, 1, -1, -1, 1, -1],
    "<": [-1, 0, 1, -1, 1, 1],
    ">": [1, 0, -1, 1, -1, -1],
    D: [0, -Math.SQRT2, Math.SQRT2, 0, 0, Math.SQRT2, -Math.SQRT2, 0],
    d: [0, -Math.SQRT2, 0.6 * Math.SQRT2, 0, 0, Math.SQRT2, -0.6 * Math.SQRT2, 0],
    P: [-1, -3, 1, -3, 1, -1, 3, -1, 3, 1, 1, 1, 1, 3, -1, 3, -1, 1, -3, 1, -3, -1, -1, -1].map(
      (part) => part / 3,
    ),
    X: [-1, -2, 0, -1, 1, -2, 2, -1, 1, 0, 2, 1, 1, 2, 0, 1, -1, 2, -2, 1, -1, 0, -2, -1].map(
      (part) => part / 2,
    ),
  },

  // Corners on a circle, the first on top; every second one on a smaller circle makes a star.
  ring(corners, inner = 1) {
    const points = [];
    for (let k = 0; k < corners; k++) {
      const radius = k % 2 === 0 ? 1 : inner;
      const angle = (2 * Math.PI * k) / corners;
      points.push(radius * Math.sin(angle), radius * Math.cos(angle));
    }
    return points;
  },

  // Begins a path of this shape; `size` is its diameter.
  trace(ctx, shape, x, y, size) {
    const points = marks.SHAPES[shape];
    ctx.beginPath();
    if (!points) {
      ctx.arc(x, y, size / 2, 0, 2 * Math.PI);
      return;
    }
    for (let k = 0; k < points.length; k += 2) {
      const place = [x + (points[k] * size) / 2, y - (points[k + 1] * size) / 2];
      if (k === 0) ctx.moveTo(...place);
      else ctx.lineTo(...place);
    }
    ctx.closePath();
  },

  draw(ctx, shape, x, y, size, fill, rim) {
    marks.trace(ctx, shape, x, y, size);
    ctx.fillStyle = fill;
    ctx.fill();
    if (!rim) return;
    ctx.setLineDash([]);
    ctx.lineJoin = "round";
    ctx.lineWidth = 0.9;
    ctx.strokeStyle = rim;
    ctx.stroke();
  },

  // A line of text on a rim of the paper's colour, so that lines below it do not disturb.
  write(ctx, text, x, y, color, halo, rim = 2.4) {
    if (halo) {
      ctx.setLineDash([]);
      ctx.lineJoin = "round";
      ctx.lineWidth = rim;
      ctx.strokeStyle = halo;
      ctx.strokeText(text, x, y);
    }
    ctx.fillStyle = color;
    ctx.fillText(text, x, y);
  },

  font(size, weight = "") {
    return `${weight} ${size}px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif`.trim();
  },

  // A number as short as a label needs it: three digits, no leading zeros in the exponent.
  number(value) {
    if (value === null || value === undefined || value !== value) return "";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    const size = Math.abs(value);
    const plain = size === 0 || (size >= 1e-3 && size < 1e4);
    const [mantissa, exponent] = (plain ? value.toPrecision(3) : value.toExponential(1)).split("e");
    const digits = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
    return (exponent === undefined ? digits : `${digits}e${Number(exponent)}`).replace(/-/g, "−");
  },

  // A power of ten as an axis shows it.
  tens(power) {
    if (power >= -2 && power <= 3) return String(Number(`1e${power}`));
    const digits = Array.from(String(Math.abs(power)));
    const raised = digits.map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("");
    return `10${power < 0 ? "⁻" : ""}${raised}`;
  },

  // The shares of a line between which it lies in a rectangle with a corner at 0 (Liang, Barsky 1984).
  cut(u, v, du, dv, width, height) {
    let [from, to] = [0, 1];
    for (const [at, d, most] of [[u, du, width], [v, dv, height]]) {
      if (d === 0 && !(at >= 0 && at <= most)) return [1, 0];
      if (d === 0) continue;
      const [one, two] = [-at / d, (most - at) / d];
      from = Math.max(from, Math.min(one, two));
      to = Math.min(to, Math.max(one, two));
    }
    return [from, to];
  },

  // Places of about `count` ticks: multiples of 1, 2 or 5 times a power of ten.
  ticks(low, high, count) {
    const raw = (high - low) / Math.max(count, 1);
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * (1 - 1e-9));
    const found = [];
    if (!(step > 0) || !Number.isFinite(step)) return found;
    // Rounding leaves 0.30000000000000004 otherwise.
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
      found.push(Number((k * step).toPrecision(12)));
    }
    return found;
  },

  // Powers of ten between two logarithms, thinned until they are `gap` decades apart; 2 and 5 times
  // them where there is room, and round numbers where there is less than a decade.
  logTicks(low, high, gap) {
    const every = Math.max(1, Math.ceil(gap));
    const factors = high - low < 2.2 && gap < 0.3 ? [1, 2, 5] : [1];
    const found = [];
    for (let power = Math.floor(low); power <= high; power++) {
      for (const factor of power % every ? [] : factors) {
        const y = factor * Number(`1e${power}`);
        const text = factors.length > 1 ? marks.number(y) : marks.tens(power);
        if (Math.log10(y) >= low && Math.log10(y) <= high) found.push({ y, text });
      }
    }
    if (found.length > 1 || high - low > 2) return found;
    const round = marks.ticks(10 ** low, 10 ** high, Math.min(4, (high - low) / gap));
    const far = round.every((y, k) => k === 0 || Math.log10(y / round[k - 1]) >= gap);
    return far ? round.map((y) => ({ y, text: marks.number(y) })) : found;
  },

  // Powers of ten of both signs between two heights on a symmetric logarithm, from 0 outwards, each
  // at least `gap` decades from the last.
  signedTicks(low, high, unit, gap) {
    const found = low <= 0 && high >= 0 ? [{ y: 0, text: "0" }] : [];
    for (const sign of [1, -1]) {
      let last = 0;
      for (let power = -16; power <= 16; power++) {
        const y = sign * Number(`1e${power}`);
        const at = sign * Math.log10(1 + Math.abs(y) / unit);
        if (at < low || at > high || Math.abs(at - last) < gap) continue;
        found.push({ y, text: (sign < 0 ? "−" : "") + marks.tens(power) });
        last = at;
      }
    }
    return found;
  },

  // Frame, ticks and names of linear axes around a box: they need 34 px on its left, 20 px below.
  axes(ctx, box, [x0, x1], [y0, y1], palette, names = ["", ""]) {
    const [right, bottom] = [box.left + box.width, box.top + box.height];
    ctx.save();
    ctx.setLineDash([]);
    Object.assign(ctx, { strokeStyle: palette.quiet, fillStyle: palette.quiet });
    Object.assign(ctx, { font: marks.font(10), lineWidth: 0.8, globalAlpha: 0.55 });
    ctx.strokeRect(box.left, box.top, box.width, box.height);
    ctx.globalAlpha = 1;
    Object.assign(ctx, { textAlign: "center", textBaseline: "top" });
    for (const x of marks.ticks(x0, x1, box.width / 90)) {
      const at = box.left + (box.width * (x - x0)) / (x1 - x0);
      ctx.fillRect(at - 0.4, bottom, 0.8, 3.5);
      if (at < right - 30) ctx.fillText(marks.number(x), at, bottom + 6);
    }
    ctx.fillText(names[0], right - 8, bottom + 5);
    Object.assign(ctx, { textAlign: "right", textBaseline: "middle" });
    for (const y of marks.ticks(y0, y1, box.height / 70)) {
      const at = bottom - (box.height * (y - y0)) / (y1 - y0);
      ctx.fillRect(box.left - 3.5, at - 0.4, 3.5, 0.8);
      if (at > box.top + 20) ctx.fillText(marks.number(y), box.left - 6, at);
    }
    ctx.fillText(names[1], box.left - 6, box.top + 7);
    ctx.restore();
  },

  rgb(color) {
    return [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  },

  // An opaque colour that has `share` of the second and the rest of the first.
  mix(first, second, share) {
    const [a, b] = [marks.rgb(first), marks.rgb(second)];
    const parts = a.map((part, k) => Math.round(part + share * (b[k] - part)));
    return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  },

  // The places nearest to the wanted ones (least squares) that are at least `room` apart.
  // Pool adjacent violators: neighbours that clash form a block, centred on the mean of what its
  // members want, so that it does not drift to one side. Equal wishes keep their order.
  spread(wanted, room, low = -Infinity, high = Infinity) {
    const wishes = Array.from(wanted);
    const order = wishes.map((_, k) => k).sort((a, b) => wishes[a] - wishes[b] || a - b);
    const blocks = [];
    order.forEach((k, rank) => {
      let [total, size] = [wishes[k] - room * rank, 1];
      while (blocks.length && blocks.at(-1)[0] / blocks.at(-1)[1] >= total / size) {
        const [before, members] = blocks.pop();
        [total, size] = [total + before, size + members];
      }
      blocks.push([total, size]);
    });
    const free = blocks.flatMap(([total, size]) => Array(size).fill(total / size));
    const most = Math.max(low, high - room * Math.max(wishes.length - 1, 0));
    const places = new Array(wishes.length);
    order.forEach((k, rank) => {
      places[k] = Math.min(Math.max(free[rank], low), most) + room * rank;
    });
    return places;
  },
};

Object.assign(marks.SHAPES, {
  h: marks.ring(6),
  p: marks.ring(5),
  "*": marks.ring(10, 0.381966),
});
