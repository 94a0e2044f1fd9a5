// What translated programs call: arithmetic that JavaScript has not, and factorizations of small dense matrices.
// Matrices are flat, row after row. Every result goes into an array that the caller hands over.
const runtime = {
  // Scalars

  // C's pow: 1 to the power of anything is 1, and so is -1 to an infinite power.
  power(a, b) {
    return a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : Math.pow(a, b);
  },

  // By repeated squaring, as XLA does it; a negative power is the reciprocal of the positive one.
  integerPower(a, n) {
    let result = 1;
    for (let m = Math.abs(n); m > 0; m = Math.floor(m / 2)) {
      if (m % 2 === 1) result *= a;
      if (m > 1) a *= a;
    }
    return n < 0 ? 1 / result : result;
  },

  wholePower(a, n) {
    let result = 1;
    for (; n > 0; n--) result = Math.abs(result * a) < 2 ** 53 ? result * a : Math.imul(result, a);
    return result;
  },

  // Integers: XLA has -1 for x / 0, and x for the remainder.
  quotient(a, b) {
    return b === 0 ? -1 : Math.trunc(a / b);
  },

  remainder(a, b) {
    return b === 0 ? a : (a % b) + 0;
  },

  roundEven(a) {
    const floor = Math.floor(a);
    const part = a - floor;
    if (part < 0.5) return floor;
    if (part > 0.5) return floor + 1;
    return part === 0.5 ? (floor % 2 === 0 ? floor : floor + 1) : a;
  },

  roundAway(a) {
    const size = Math.abs(a);
    const floor = Math.floor(size);
    return Math.sign(a) * (size - floor >= 0.5 ? floor + 1 : floor);
  },

  // Towards zero, held within the type; no number becomes 0.
  toInt32(a) {
    return a >= 2147483647 ? 2147483647 : a <= -2147483648 ? -2147483648 : a | 0;
  },

  toUint32(a) {
    return a >= 4294967295 ? 4294967295 : a > 0 ? Math.trunc(a) : 0;
  },

  toInt64(a) {
    return a !== a ? 0 : Math.max(-(2 ** 63), Math.min(2 ** 63, Math.trunc(a))) + 0;
  },

  // Rows

  dot(a, b, n) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
  },

  // out[s] = a[s] b[s]^T for each of `batch` matrices a[s]: m x k, b[s]: n x k.
  multiply(a, b, out, batch, m, n, k) {
    for (let s = 0, o = 0; s < batch; s++) {
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++, o++) {
          const p = (s * m + i) * k;
          const q = (s * n + j) * k;
          let sum = 0;
          for (let l = 0; l < k; l++) sum += a[p + l] * b[q + l];
          out[o] = sum;
        }
      }
    }
  },

  // The first of the largest; the first that is no number, if one is.
  argmax(a, from, n) {
    let best = 0;
    for (let i = 0; i < n; i++) {
      const value = a[from + i];
      if (value !== value) return i;
      if (value > a[from + best]) best = i;
    }
    return best;
  },

  argmin(a, from, n) {
    let best = 0;
    for (let i = 0; i < n; i++) {
      const value = a[from + i];
      if (value !== value) return i;
      if (value < a[from + best]) best = i;
    }
    return best;
  },

  // For each row of length n the places of its entries in ascending order: stable, no numbers last.
  sortedOrder(a, order, size, n) {
    for (let row = 0; row < size; row += n) {
      for (let i = 0; i < n; i++) {
        const value = a[row + i];
        let j = i;
        for (; j > 0; j--) {
          const before = a[order[row + j - 1]];
          if (!(before > value || (before !== before && value === value))) break;
          order[row + j] = order[row + j - 1];
        }
        order[row + j] = row + i;
      }
    }
  },

  // Factorizations

  // P A = L U with row pivots (LAPACK's getrf): L below the diagonal, U above.
  lu(a, out, pivots, permutation, m, n) {
    out.set(a);
    for (let i = 0; i < m; i++) permutation[i] = i;
    for (let k = 0; k < Math.min(m, n); k++) {
      let pivot = k;
      for (let i = k + 1; i < m; i++) {
        if (Math.abs(out[i * n + k]) > Math.abs(out[pivot * n + k])) pivot = i;
      }
      pivots[k] = pivot;
      if (pivot !== k) {
        for (let j = 0; j < n; j++) {
          const held = out[k * n + j];
          out[k * n + j] = out[pivot * n + j];
          out[pivot * n + j] = held;
        }
        const held = permutation[k];
        permutation[k] = permutation[pivot];
        permutation[pivot] = held;
      }
      const diagonal = out[k * n + k];
      if (diagonal === 0) continue;
      for (let i = k + 1; i < m; i++) {
        const factor = (out[i * n + k] /= diagonal);
        for (let j = k + 1; j < n; j++) out[i * n + j] -= factor * out[k * n + j];
      }
    }
  },

  // X with A X = B, or A^T X = B; A is triangular: n x n, B: n x m. The other triangle of A is not looked at.
  triangularSolve(a, b, x, n, m, lower, transposed, unit) {
    const forward = lower !== transposed;
    for (let step = 0; step < n; step++) {
      const i = forward ? step : n - 1 - step;
      const first = forward ? 0 : i + 1;
      const last = forward ? i : n;
      for (let j = 0; j < m; j++) {
        let sum = b[i * m + j];
        for (let k = first; k < last; k++) sum -= (transposed ? a[k * n + i] : a[i * n + k]) * x[k * m + j];
        x[i * m + j] = unit ? sum : sum / a[i * n + i];
      }
    }
  },

  // A = L L^T from the lower triangle; all NaN where A is not positive definite.
  cholesky(a, out, n) {
    out.fill(0);
    for (let j = 0; j < n; j++) {
      for (let i = j; i < n; i++) {
        let sum = a[i * n + j];
        for (let k = 0; k < j; k++) sum -= out[i * n + k] * out[j * n + k];
        if (i === j) {
          if (!(sum > 0)) {
            for (let r = 0; r < n; r++) for (let c = 0; c <= r; c++) out[r * n + c] = NaN;
            return;
          }
          out[j * n + j] = Math.sqrt(sum);
        } else {
          out[i * n + j] = sum / out[j * n + j];
        }
      }
    }
  },

  // Eigenvectors (columns) and ascending eigenvalues of a symmetric matrix, by Jacobi's rotations
  // (Golub and Van Loan, Matrix Computations, section 8.5).
  eigh(a, vectors, values, n, lower) {
    const s = new Float64Array(n * n);
    const v = new Float64Array(n * n);
    let norm = 0;
    for (let i = 0; i < n; i++) {
      v[i * n + i] = 1;
      for (let j = 0; j <= i; j++) {
        s[i * n + j] = s[j * n + i] = lower ? a[i * n + j] : a[j * n + i];
        norm += Math.abs(s[i * n + j]);
      }
    }
    if (!Number.isFinite(norm)) {
      vectors.fill(NaN);
      values.fill(NaN);
      return;
    }
    for (let sweep = 0; sweep < 60; sweep++) {
      let rotated = false;
      for (let p = 0; p < n - 1; p++) {
        for (let q = p + 1; q < n; q++) {
          const off = s[p * n + q];
          if (Math.abs(off) <= 1e-17 * Math.sqrt(Math.abs(s[p * n + p] * s[q * n + q])) || Math.abs(off) < 1e-18 * norm) continue;
          rotated = true;
          const theta = (s[q * n + q] - s[p * n + p]) / (2 * off);
          const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
          const c = 1 / Math.hypot(t, 1);
          const d = t * c;
          for (let k = 0; k < n; k++) {
            const x = s[k * n + p];
            const y = s[k * n + q];
            s[k * n + p] = c * x - d * y;
            s[k * n + q] = d * x + c * y;
          }
          for (let k = 0; k < n; k++) {
            const x = s[p * n + k];
            const y = s[q * n + k];
            s[p * n + k] = c * x - d * y;
            s[q * n + k] = d * x + c * y;
          }
          s[p * n + q] = s[q * n + p] = 0;
          for (let k = 0; k < n; k++) {
            const x = v[k * n + p];
            const y = v[k * n + q];
            v[k * n + p] = c * x - d * y;
            v[k * n + q] = d * x + c * y;
          }
        }
      }
      if (!rotated) break;
    }
    const diagonal = new Float64Array(n);
    const order = new Int32Array(n);
    for (let i = 0; i < n; i++) diagonal[i] = s[i * n + i];
    runtime.sortedOrder(diagonal, order, n, n);
    for (let j = 0; j < n; j++) {
      values[j] = diagonal[order[j]];
      for (let i = 0; i < n; i++) vectors[i * n + j] = v[i * n + order[j]];
    }
  },

  // A = U diag(s) V^T with descending s, by rotations of pairs of columns (one-sided Jacobi; Hestenes 1958).
  svd(a, s, u, vt, m, n) {
    if (m < n) {
      const turned = new Float64Array(m * n);
      for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) turned[j * m + i] = a[i * n + j];
      const left = new Float64Array(n * m); // n x m: the columns are the rows of vt
      const right = new Float64Array(m * m);
      runtime.svd(turned, s, left, right, n, m);
      for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) u[i * m + j] = right[j * m + i];
      for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) vt[i * n + j] = left[j * m + i];
      return;
    }
    const w = Float64Array.from(a);
    const v = new Float64Array(n * n);
    for (let j = 0; j < n; j++) v[j * n + j] = 1;
    if (!w.every(Number.isFinite)) {
      s.fill(NaN);
      u.fill(NaN);
      vt.fill(NaN);
      return;
    }
    for (let sweep = 0; sweep < 60; sweep++) {
      let rotated = false;
      for (let p = 0; p < n - 1; p++) {
        for (let q = p + 1; q < n; q++) {
          let pp = 0;
          let qq = 0;
          let pq = 0;
          for (let i = 0; i < m; i++) {
            pp += w[i * n + p] ** 2;
            qq += w[i * n + q] ** 2;
            pq += w[i * n + p] * w[i * n + q];
          }
          if (Math.abs(pq) <= 1e-16 * Math.sqrt(pp) * Math.sqrt(qq) || pq === 0) continue;
          rotated = true;
          const theta = (qq - pp) / (2 * pq);
          const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
          const c = 1 / Math.hypot(t, 1);
          const d = t * c;
          for (const [x, rows] of [[w, m], [v, n]]) {
            for (let i = 0; i < rows; i++) {
              const left = x[i * n + p];
              const right = x[i * n + q];
              x[i * n + p] = c * left - d * right;
              x[i * n + q] = d * left + c * right;
            }
          }
        }
      }
      if (!rotated) break;
    }
    const lengths = new Float64Array(n);
    const order = new Int32Array(n);
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let i = 0; i < m; i++) sum = Math.hypot(sum, w[i * n + j]);
      lengths[j] = -sum;
    }
    runtime.sortedOrder(lengths, order, n, n);
    for (let j = 0; j < n; j++) {
      const from = order[j];
      s[j] = -lengths[from] + 0;
      for (let i = 0; i < n; i++) vt[j * n + i] = v[i * n + from];
      if (s[j] > 0) {
        for (let i = 0; i < m; i++) u[i * n + j] = w[i * n + from] / s[j];
      } else {
        runtime.complete(u, j, m, n);
      }
    }
  },

  singularValues(a, s, m, n) {
    const k = Math.min(m, n);
    runtime.svd(a, s, new Float64Array(m * k), new Float64Array(k * n), m, n);
  },

  // Column j of u, m x n: a unit vector at right angles to those before it.
  complete(u, j, m, n) {
    for (let unit = 0; unit < m; unit++) {
      for (let i = 0; i < m; i++) u[i * n + j] = i === unit ? 1 : 0;
      for (let round = 0; round < 2; round++) {
        for (let k = 0; k < j; k++) {
          let sum = 0;
          for (let i = 0; i < m; i++) sum += u[i * n + k] * u[i * n + j];
          for (let i = 0; i < m; i++) u[i * n + j] -= sum * u[i * n + k];
        }
      }
      let length = 0;
      for (let i = 0; i < m; i++) length += u[i * n + j] ** 2;
      if (length < 0.5 / m) continue;
      for (let i = 0; i < m; i++) u[i * n + j] /= Math.sqrt(length);
      return;
    }
  },

  // A = Q R by Householder's reflections, signs as LAPACK's; Q: m x k, R: k x n.
  qr(a, q, r, m, n, k) {
    const w = Float64Array.from(a);
    const most = Math.min(m, n);
    const beta = new Float64Array(most);
    for (let j = 0; j < most; j++) {
      let norm = 0;
      let below = 0;
      for (let i = j; i < m; i++) norm = Math.hypot(norm, w[i * n + j]);
      for (let i = j + 1; i < m; i++) below = Math.max(below, Math.abs(w[i * n + j]));
      if (below === 0) continue; // nothing to reflect, as in LAPACK
      const first = w[j * n + j];
      const end = first > 0 ? -norm : norm;
      for (let i = j + 1; i < m; i++) w[i * n + j] /= first - end;
      beta[j] = (end - first) / end;
      w[j * n + j] = end;
      for (let c = j + 1; c < n; c++) {
        let sum = w[j * n + c];
        for (let i = j + 1; i < m; i++) sum += w[i * n + j] * w[i * n + c];
        w[j * n + c] -= beta[j] * sum;
        for (let i = j + 1; i < m; i++) w[i * n + c] -= beta[j] * sum * w[i * n + j];
      }
    }
    for (let i = 0; i < k; i++) for (let j = 0; j < n; j++) r[i * n + j] = j >= i ? w[i * n + j] : 0;
    for (let i = 0; i < m; i++) for (let j = 0; j < k; j++) q[i * k + j] = i === j ? 1 : 0;
    for (let j = most - 1; j >= 0; j--) {
      for (let c = 0; c < k; c++) {
        let sum = q[j * k + c];
        for (let i = j + 1; i < m; i++) sum += w[i * n + j] * q[i * k + c];
        q[j * k + c] -= beta[j] * sum;
        for (let i = j + 1; i < m; i++) q[i * k + c] -= beta[j] * sum * w[i * n + j];
      }
    }
  },

  // Runs

  // The states of a run from one on, the first included, `steps` at most: it ends where its own status says so.
  descend(step, numbers, state, status, steps, surface) {
    const states = [state];
    for (let k = 0; k < steps && state[status] === 0; k++) {
      state = step([...numbers, ...state], surface);
      states.push(state);
    }
    return states;
  },
};
