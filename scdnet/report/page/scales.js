/** Scales, ticks and number formats of the charts: arithmetic only, no document. */

const TEN_STEPS = [1, 2, 5, 10];

/** Return `{low, high}` of the finite numbers in `values`, or null if there is none. */
export function finiteExtent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? { low, high } : null;
}

/** Return the round step (1, 2 or 5 times a power of ten) that cuts `span` into about `count`. */
export function tickStep(span, count) {
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = TEN_STEPS.find((step) => step * power >= raw * 0.999);
  return factor * power;
}

/** Return the multiples of `step` between `low` and `high`. */
export function linearTicks(low, high, step) {
  const ticks = [];
  // Counting whole steps instead of adding them up keeps 0.1 + 0.2 out of the labels.
  const last = Math.floor(high / step + 1e-9);
  for (let i = Math.ceil(low / step - 1e-9); i <= last; i += 1) {
    ticks.push(Number((i * step).toPrecision(12)));
  }
  return ticks;
}

/** Return the ticks of a logarithmic axis: powers of ten, with 2 and 5 on a short axis. */
export function logTicks(low, high) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const factors = last - first <= 2 ? [1, 2, 5] : [1];
  const stride = Math.max(1, Math.ceil((last - first) / 6));
  const ticks = [];
  for (let power = first; power <= last; power += stride) {
    for (const factor of factors) {
      const tick = Number((factor * 10 ** power).toPrecision(3));
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks;
}

/** Widen `low` to `high` to `{low, high, step}` with round ends, or by 5 percent if `log`. */
export function paddedDomain(low, high, { count, log }) {
  if (log) {
    const factor = (high / low) ** 0.05 || 1;
    const isWide = high > low;
    return {
      low: isWide ? low / factor : low / 2,
      high: isWide ? high * factor : low * 2,
      step: 0,
    };
  }
  if (!(high > low)) {
    const margin = Math.abs(low) * 0.1 || 1;
    return { low: low - margin, high: high + margin, step: margin };
  }
  const step = tickStep(high - low, count);
  return {
    low: Number((Math.floor(low / step + 1e-9) * step).toPrecision(12)),
    high: Number((Math.ceil(high / step - 1e-9) * step).toPrecision(12)),
    step,
  };
}

/** Return the function that maps `low`..`high` to the pixels `start`..`end`. */
export function makeScale({ low, high, start, end, log = false }) {
  const toAxis = log ? Math.log : Number;
  const origin = toAxis(low);
  const span = toAxis(high) - origin;
  return (value) => {
    const share = span === 0 ? 0.5 : (toAxis(value) - origin) / span;
    return start + share * (end - start);
  };
}

/** Return `value` with about four digits, as short as it can be said. */
export function formatNumber(value) {
  if (!Number.isFinite(value)) return "not finite";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return signed(value.toLocaleString("en-US"));
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    return signed(value.toExponential(2).replace("e+", "e"));
  }
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
  return signed(value.toFixed(digits));
}

/** Return the label of the tick `value` on an axis whose ticks are `step` apart. */
export function formatTick(value, step) {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  // All ticks of an axis are written in the same way, so that they can be compared.
  if (Math.abs(value) >= 1e5 || digits > 4) {
    return value === 0
      ? "0"
      : signed(value.toExponential(1).replace(".0e", "e").replace("e+", "e"));
  }
  return signed(value.toFixed(digits));
}

/** Return a share of 0 to 1 as a percentage without needless digits. */
export function formatShare(share) {
  const percent = share * 100;
  return `${percent.toFixed(percent > 0 && percent < 1 ? 1 : 0)}\u2009%`;
}

function signed(text) {
  return text.replaceAll("-", "\u2212");
}

/** Return the index of the number in `sorted` (ascending, not empty) that is nearest `value`. */
export function nearestIndex(sorted, value) {
  let low = 0;
  let high = sorted.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle;
    else high = middle;
  }
  return Math.abs(sorted[high] - value) < Math.abs(sorted[low] - value) ? high : low;
}

/**
 * Move labels apart: return new positions, at least `height` pixels from each other.
 *
 * The order is kept, and all stay between `low` and `high` if there is room.
 */
export function spreadLabels(positions, height, low, high) {
  const order = positions.map((_, i) => i).sort((a, b) => positions[a] - positions[b]);
  const placed = positions.slice();
  let floor = low;
  for (const i of order) {
    placed[i] = Math.max(placed[i], floor);
    floor = placed[i] + height;
  }
  let ceiling = high;
  for (const i of order.reverse()) {
    placed[i] = Math.min(placed[i], ceiling);
    ceiling = placed[i] - height;
  }
  return placed;
}

/** Return `text` cut to `length` characters with an ellipsis. */
export function shorten(text, length) {
  const letters = Array.from(text);
  return letters.length <= length ? text : `${letters.slice(0, length - 1).join("")}\u2026`;
}

/** Return `text` cut to `length` characters with an ellipsis in its middle: runs differ at the end. */
export function shortenMiddle(text, length) {
  const letters = Array.from(text);
  if (letters.length <= length) return text;
  const head = Math.floor((length - 1) / 3);
  return `${letters.slice(0, head).join("")}\u2026${letters.slice(head + 1 - length).join("")}`;
}
