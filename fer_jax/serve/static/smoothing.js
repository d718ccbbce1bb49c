// Probabilities that do not flicker: an exponential mean over time. Pure functions.

export const SECONDS = 0.5; // the mean's time constant

// The mean after one more row of probabilities, `elapsed` seconds after the last; frames may come at any times.
// What was seen t seconds ago counts exp(-t / seconds) times as much. Both are objects by label.
export function smooth(mean, row, elapsed, seconds = SECONDS) {
  const share = seconds > 0 ? -Math.expm1(-elapsed / seconds) : 1;
  const entries = Object.entries(row).map(([label, value]) => [label, mean[label] + share * (value - mean[label])]);
  return Object.fromEntries(entries);
}

export function likeliest(row) {
  return Object.keys(row).reduce((best, label) => (row[label] > row[best] ? label : best));
}

// A face with its probabilities smoothed over those of `before`, the same face in the frame `elapsed` seconds ago.
export function smoothed(face, before, elapsed, seconds = SECONDS) {
  if (!before) return face;
  const probabilities = smooth(before.probabilities, face.probabilities, elapsed, seconds);
  return { ...face, probabilities, label: likeliest(probabilities) };
}
