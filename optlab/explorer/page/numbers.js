// Numbers that a slider sets: where a value stands on it, from 0 to 1, and back.
const numbers = {
  // Three ways to lie: near one (momenta), of some size (rates), and none at first (weight decay).
  scale(value) {
    if (value >= 0.5 && value < 1) return { of: (u) => 1 - 10 ** (-4 * u), at: (v) => -Math.log10(1 - v) / 4 };
    if (value > 0) {
      const low = Math.log10(value) - 3;
      return { of: (u) => 10 ** (low + 6 * u), at: (v) => (Math.log10(v) - low) / 6 };
    }
    if (value === 0) return { of: (u) => (u === 0 ? 0 : 10 ** (6 * u - 6)), at: (v) => (v > 0 ? 1 + Math.log10(v) / 6 : 0) };
    return { of: (u) => value * (2 - 2 * u), at: (v) => 1 - v / (2 * value) };
  },

  place(value, standard) {
    const u = numbers.scale(standard).at(value);
    return u !== u ? 0 : Math.min(1, Math.max(0, u));
  },

  // Three digits: no slider is finer.
  value(place, standard) {
    return Number(numbers.scale(standard).of(place).toPrecision(3));
  },

  // What a word says, or null where it is no finite number.
  read(text) {
    const value = String(text).trim() === "" ? NaN : Number(text);
    return Number.isFinite(value) ? value : null;
  },

  // Names as they are shown: of something within something, the last word.
  word(name) {
    return name.split(".").pop().replaceAll("_", " ");
  },

  // What is rarely turned stands apart: guards against division by zero, and what is within another thing.
  rare(entry) {
    return entry.name.includes(".") || entry.name.startsWith("eps") || (entry.value < 1e-3 && entry.name !== "learning_rate");
  },
};
