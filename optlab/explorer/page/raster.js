// Pictures that are made pixel by pixel: coloured bands from above, and triangles that have depth.
const raster = {
  PIXELS: 7e5, // no finer than that: a canvas for a dense screen is enlarged smoothly
  sheet: null, // kept: while a surface turns, pixels and depths are wanted again and again

  // Pixels of a sheet for each unit of the canvas; `more` than the screen has make rims smooth.
  fineness(ctx, box, more = 1) {
    const most = Math.sqrt((more * raster.PIXELS) / (box.width * box.height));
    return Math.min(more * ctx.getTransform().a, most);
  },

  // Everything clear and infinitely deep.
  blank(box, fine) {
    const width = Math.max(1, Math.round(box.width * fine));
    const height = Math.max(1, Math.round(box.height * fine));
    if (!raster.sheet || raster.sheet.width !== width || raster.sheet.height !== height) {
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      const image = canvas.getContext("2d").createImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer);
      const depth = new Float32Array(width * height);
      raster.sheet = { canvas, image, pixels, width, height, depth };
    }
    raster.sheet.pixels.fill(0);
    raster.sheet.depth.fill(Infinity);
    return Object.assign(raster.sheet, { fine });
  },

  show(ctx, box, { canvas, image }) {
    canvas.getContext("2d").putImageData(image, 0, 0);
    ctx.imageSmoothingEnabled = true;
    ctx.drawImage(canvas, box.left, box.top, box.width, box.height);
  },

  // Little endian, as ImageData has it.
  pack([r, g, b]) {
    return (255 << 24) | (b << 16) | (g << 8) | r;
  },

  // In which cell of the axis the middles of `count` pixels lie, and the share of the way through it.
  places(axis, count) {
    const cell = new Int32Array(count);
    const share = new Float64Array(count);
    for (let k = 0, i = 0; k < count; k++) {
      const at = axis[0] + ((k + 0.5) / count) * (axis.at(-1) - axis[0]);
      while (i < axis.length - 2 && axis[i + 1] < at) i++;
      cell[k] = i;
      share[k] = (at - axis[i]) / (axis[i + 1] - axis[i]);
    }
    return { cell, share };
  },

  // One packed colour for each band between two levels.
  colors(levels, palette) {
    const [low, high] = [marks.rgb(palette.low), marks.rgb(palette.high)];
    return Uint32Array.from({ length: levels.length - 1 }, (_, band) => {
      const share = (band + 0.5) / (levels.length - 1);
      return raster.pack(low.map((part, k) => Math.round(part + share * (high[k] - part))));
    });
  },

  // The bands of a surface seen from above. Where heights are not finite it stays clear.
  fill(ctx, box, grid, heights, levels, palette) {
    const sheet = raster.blank(box, raster.fineness(ctx, box));
    const pixels = sheet.pixels;
    const colors = raster.colors(levels, palette);
    const [across, up] = [raster.places(grid.x, sheet.width), raster.places(grid.y, sheet.height)];
    const [n, last, perLevel] = [grid.x.length, colors.length - 1, 1 / (levels[1] - levels[0])];
    const row = new Float64Array(n);
    for (let line = 0, pixel = 0; line < sheet.height; line++) {
      const [j, rise] = [up.cell[sheet.height - 1 - line], up.share[sheet.height - 1 - line]];
      for (let i = 0; i < n; i++) {
        const [below, above] = [heights[j * n + i], heights[(j + 1) * n + i]];
        row[i] = ((1 - rise) * below + rise * above - levels[0]) * perLevel;
      }
      for (let k = 0; k < sheet.width; k++, pixel++) {
        const left = row[across.cell[k]];
        const band = left + across.share[k] * (row[across.cell[k] + 1] - left);
        if (band - band === 0) pixels[pixel] = colors[band < 0 ? 0 : band > last ? last : band | 0];
      }
    }
    raster.show(ctx, box, sheet);
  },

  // Between values at the corners of a lattice, each quad as two triangles.
  interpolate({ n, m }, values, u, v) {
    if (!(u >= 0 && v >= 0 && u <= n - 1 && v <= m - 1)) return NaN;
    const i = Math.min(Math.floor(u), n - 2);
    const j = Math.min(Math.floor(v), m - 2);
    const at = j * n + i;
    const [first, last] = [values[at], values[at + n + 1]];
    // On an edge only its own two ends count: other corners may not be finite.
    if (u - i >= v - j) return raster.between(u - i, v - j, first, values[at + 1], last);
    return raster.between(v - j, u - i, first, values[at + n], last);
  },

  between(s, t, first, corner, last) {
    return first + (s ? s * (corner - first) : 0) + (t ? t * (last - corner) : 0);
  },

  // Packed colours by band and light; after the `lights` of each band its two greys for walls.
  shades(bands, lights, palette, greys) {
    const colors = [];
    for (let band = 0; band < bands; band++) {
      const tint = marks.rgb(marks.mix(palette.low, palette.high, (band + 0.5) / bands));
      for (let light = 0; light < lights; light++) {
        const shade = 0.76 + (0.3 * light) / (lights - 1);
        colors.push(raster.pack(tint.map((part) => Math.min(255, part * shade))));
      }
      const wall = marks.rgb(marks.mix(palette.faint, palette.paper, 0.3));
      for (const grey of greys) colors.push(raster.pack(wall.map((part) => part * grey)));
    }
    return Uint32Array.from(colors);
  },

  // Depth, tone and light are linear on a triangle: their slopes across and down are all it needs.
  triangle({ x, y, depth, tone, light }, sheet, a, b, c) {
    const first = Math.max(0, Math.ceil(Math.min(y[a], y[b], y[c]) - 0.5));
    const last = Math.min(sheet.height, Math.ceil(Math.max(y[a], y[b], y[c]) - 0.5));
    const area = (x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a]);
    if (!(first < last) || !(area * area > 0)) return;
    const [bx, by] = [(y[c] - y[a]) / area, (x[a] - x[c]) / area];
    const [cx, cy] = [(y[a] - y[b]) / area, (x[b] - x[a]) / area];
    const depthX = (depth[b] - depth[a]) * bx + (depth[c] - depth[a]) * cx;
    const depthY = (depth[b] - depth[a]) * by + (depth[c] - depth[a]) * cy;
    const toneX = (tone[b] - tone[a]) * bx + (tone[c] - tone[a]) * cx;
    const toneY = (tone[b] - tone[a]) * by + (tone[c] - tone[a]) * cy;
    const lightX = (light[b] - light[a]) * bx + (light[c] - light[a]) * cx;
    const lightY = (light[b] - light[a]) * by + (light[c] - light[a]) * cy;
    for (let row = first; row < last; row++) {
      const dy = row + 0.5 - y[a];
      let left = Infinity;
      let right = -Infinity;
      for (let side = 0; side < 3; side++) {
        const p = side === 0 ? a : side === 1 ? b : c;
        const q = side === 0 ? b : side === 1 ? c : a;
        if (y[p] <= row + 0.5 === y[q] <= row + 0.5) continue;
        const place = x[p] + ((row + 0.5 - y[p]) / (y[q] - y[p])) * (x[q] - x[p]);
        if (place < left) left = place;
        if (place > right) right = place;
      }
      const end = Math.min(sheet.width, Math.ceil(right - 0.5));
      const begin = Math.max(0, Math.ceil(left - 0.5));
      let at = row * sheet.width + begin;
      let dx = begin + 0.5 - x[a];
      for (let column = begin; column < end; column++, at++, dx++) {
        const deep = depth[a] + dx * depthX + dy * depthY;
        if (deep >= sheet.depth[at]) continue;
        sheet.depth[at] = deep;
        const band = (tone[a] + dx * toneX + dy * toneY) | 0;
        const shade = (light[a] + dx * lightX + dy * lightY + 0.5) | 0;
        const held = band < sheet.bands ? band : sheet.bands - 1;
        sheet.pixels[at] = sheet.colors[held * sheet.lights + shade];
      }
    }
  },
};
