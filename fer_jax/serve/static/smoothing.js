// An exponential mean over time of what comes at uneven moments. Pure functions.
// The rule is that for video files: data/smoothing.py.

export const SECONDS = 0.5; // the time constant

// Adds a row of probabilities, an object by label, to the mean {mean, weight, time}; null before the first.
// A row weighs as much as the time that it stands for, and what lies `seconds` back weighs 1/e of the present. So
// the mean does not depend on how often frames come. It is divided by the sum of the weights (as in Adam; Kingma
// and Ba, 2015), in which the first row is not special. A row stands for `interval` seconds, the time since the
// frame before; if null, since the last row, and the first one for as long as the second.
export function smooth(before, row, time, { seconds = SECONDS, interval = null } = {}) {
  if (seconds <= 0) return { mean: row, weight: null, time };
  const passed = before ? Math.max(time - before.time, 0) : null;
  const standsFor = interval ?? passed;
  const fresh = standsFor === null ? null : -Math.expm1(-standsFor / seconds);
  if (!before) return { mean: row, weight: fresh, time };
  const weight = (before.weight ?? fresh) * Math.exp(-passed / seconds) + fresh;
  const share = weight ? fresh / weight : 0.5; // both weigh nothing where rows come at the same time
  const mix = ([label, value]) => [label, before.mean[label] + share * (value - before.mean[label])];
  return { mean: Object.fromEntries(Object.entries(row).map(mix)), weight, time };
}

export function likeliest(row) {
  return Object.keys(row).reduce((best, label) => (row[label] > row[best] ? label : best));
}
