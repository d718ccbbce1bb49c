// An exponential mean over time of what comes at uneven moments. Pure functions.
// The rule is that for video files: data/smoothing.py.

export const SECONDS = 0.5; // the time constant

// Adds a row of probabilities, an object by label, to the mean {mean, weight, time}; null before the first.
// A row stands for the time since the one before it, the first for as long as the second; a moment that lies
// `seconds` back weighs 1/e of the present one. So the mean does not depend on how often frames come. It is
// divided by the sum of the weights (as in Adam; Kingma and Ba, 2015), in which the first row is not special.
export function smooth(before, row, time, seconds = SECONDS) {
  if (!before || seconds <= 0) return { mean: row, weight: null, time };
  const kept = Math.exp(-Math.max(time - before.time, 0) / seconds);
  const fresh = 1 - kept;
  const weight = (before.weight ?? fresh) * kept + fresh;
  const share = weight ? fresh / weight : 0.5; // the first two at the same time weigh alike
  const mix = ([label, value]) => [label, before.mean[label] + share * (value - before.mean[label])];
  return { mean: Object.fromEntries(Object.entries(row).map(mix)), weight, time };
}

export function likeliest(row) {
  return Object.keys(row).reduce((best, label) => (row[label] > row[best] ? label : best));
}
