// Faces followed from frame to frame, by the overlap of their boxes. Pure functions.

export const GAP = 0.5; // seconds without a face that a track survives
export const LEAST_OVERLAP = 0.3;

export const NONE = { tracks: [], count: 0 };

// The area that two boxes [x, y, width, height] share, as a share of the area of both (intersection over union).
export function overlap([x, y, w, h], [u, v, s, t]) {
  const wide = Math.min(x + w, u + s) - Math.max(x, u);
  const high = Math.min(y + h, v + t) - Math.max(y, v);
  if (wide <= 0 || high <= 0) return 0;
  return (wide * high) / (w * h + s * t - wide * high);
}

// For each box the index of its track, or -1 if it begins one: the pair that overlaps most comes first.
export function assign(tracks, boxes, least = LEAST_OVERLAP) {
  const pairs = boxes.flatMap((box, n) => tracks.map((track, m) => [overlap(track.box, box), n, m]));
  const found = boxes.map(() => -1);
  const taken = new Set();
  for (const [share, n, m] of pairs.sort(([a], [b]) => b - a)) {
    if (share < least || found[n] !== -1 || taken.has(m)) continue;
    found[n] = m;
    taken.add(m);
  }
  return found;
}

// The state of the tracks after a frame: {tracks, count}, where count is the number of the next new track.
// A track has the number, box, time and face that it was last seen with, and whether it was seen in this
// frame. `merge(face, track, elapsed)` makes the face to keep: track is null and elapsed 0 for a new one.
export function next({ tracks, count }, faces, time, merge = (face) => face) {
  const alive = tracks.filter((track) => track.seen || time - track.time <= GAP);
  const found = assign(alive, faces.map((face) => face.box));
  const followed = faces.map((face, n) => {
    const track = alive[found[n]] ?? null;
    const number = track ? track.number : count++;
    const elapsed = track ? time - track.time : 0;
    return { number, box: face.box, time, seen: true, face: merge(face, track?.face ?? null, elapsed) };
  });
  const missed = alive.filter((_, m) => !found.includes(m) && time - alive[m].time <= GAP);
  const all = [...followed, ...missed.map((track) => ({ ...track, seen: false }))];
  return { tracks: all.sort((a, b) => a.number - b.number), count };
}
