// Follows faces from frame to frame: which of the boxes in a frame is which face of those before. Pure functions.
// The rules are those for video files: data/tracks.py.

import { assign } from "./assignment.js";

export const GAP = 0.5; // seconds for which a face may be missed and keep its number
const HIDDEN = 5; // the same for a face behind another, in seconds since it was seen
const LEAST_OVERLAP = 0.15; // from which on a box may be the face that was expected there
const STAYED = 0.5; // what the overlap with the last place counts, against that with the place expected
const MOTION_SECONDS = 0.3; // time constants of the means of a face's motion, and of its look
const LOOK_SECONDS = 1;
const ALONE = 0.05; // overlap with others up to which what is in a box is surely the one face

// All faces that are followed, the number of the next new one, and the time of the last frame in seconds.
export const NO_TRACKS = { active: [], nextNumber: 0, time: -Infinity };

// Finds out which face each box [x, y, width, height] of the next frame is -> {tracks, numbers}; null is the number
// of a box within a face that has another, or that another hides: it is no face of its own.
// Each face is expected where its motion has taken it. Boxes go to faces so that the sum of overlap and likeness
// is greatest, among pairs that overlap (as in SORT; Bewley et al., 2016). A face that is missed for more than GAP
// seconds is given up, later while another covers its place; never one that was seen in the frame before.
// `looks` are vectors, made by `unit` of the grey levels in the boxes.
export function follow(tracks, boxes, looks, time) {
  const active = tracks.active.filter((track) => tracks.time - track.excused <= GAP + 1e-6);
  const pairs = pairUp(active, boxes, looks, time);
  const numbers = pairs.map((place) => active[place]?.number ?? null);
  const kept = pairs.flatMap((place, n) => {
    if (place < 0) return [];
    const isAlone = boxes.every((other, m) => m === n || overlap(boxes[n], other) <= ALONE);
    return [moved(active[place], boxes[n], isAlone ? looks[n] : null, time)];
  });
  const lost = active.filter((_, place) => !pairs.includes(place)).map((track) => missed(track, kept, time));
  const hidden = lost.filter((track) => track.excused === time).map((track) => expected(track, time));
  const taken = [...kept.map((track) => track.box), ...hidden];
  let { nextNumber } = tracks;
  const begun = boxes.flatMap((box, n) => {
    if (pairs[n] >= 0 || taken.some((place) => isWithin(box, place))) return [];
    numbers[n] = nextNumber++;
    return [{ number: numbers[n], box, velocity: [0, 0], look: looks[n], seen: time, excused: time }];
  });
  return { tracks: { active: [...kept, ...begun, ...lost], nextNumber, time }, numbers };
}

// The area that two boxes share, as a share of the area of both (intersection over union).
export function overlap([x, y, w, h], [u, v, s, t]) {
  const wide = Math.min(x + w, u + s) - Math.max(x, u);
  const high = Math.min(y + h, v + t) - Math.max(y, v);
  if (wide <= 0 || high <= 0) return 0;
  return (wide * high) / (w * h + s * t - wide * high);
}

// The vector less its mean, with length 1.
export function unit(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const centred = values.map((value) => value - mean);
  const length = Math.max(Math.hypot(...centred), 1e-9);
  return centred.map((value) => value / length);
}

// For each box the place of its track among `active`, or -1.
function pairUp(active, boxes, looks, time) {
  const near = (track, box) => Math.max(overlap(expected(track, time), box), STAYED * overlap(track.box, box));
  const shares = boxes.map((box) => active.map((track) => near(track, box)));
  const isPossible = (n, place) => place >= 0 && shares[n][place] >= LEAST_OVERLAP;
  const likeness = (n, place) => looks[n].reduce((sum, value, k) => sum + value * active[place].look[k], 0);
  const gains = shares.map((row, n) =>
    row.map((share, place) => (isPossible(n, place) ? 1 + share + likeness(n, place) : -1)));
  return assign(gains).map((place, n) => (isPossible(n, place) ? place : -1));
}

// Where the motion of a face has taken it.
function expected({ box: [x, y, w, h], velocity: [u, v], seen }, time) {
  return [x + u * (time - seen), y + v * (time - seen), w, h];
}

// The track with the place, and unless it is null the look, that were found.
function moved(track, box, look, time) {
  const passed = Math.max(time - track.seen, 1e-6);
  const [from, to] = [middle(track.box), middle(box)];
  const share = -Math.expm1(-passed / MOTION_SECONDS);
  const velocity = track.velocity.map((old, n) => old + share * ((to[n] - from[n]) / passed - old));
  const part = -Math.expm1(-passed / LOOK_SECONDS);
  const mixed = look ? unit(track.look.map((old, n) => old + part * (look[n] - old))) : track.look;
  return { number: track.number, box, velocity, look: mixed, seen: time, excused: time };
}

// A face that is not seen, excused if one of those that are hides it.
function missed(track, seen, time) {
  const place = expected(track, time);
  const isHidden = time - track.seen <= HIDDEN && seen.some(({ box }) => overlap(place, box) > ALONE);
  return isHidden ? { ...track, excused: time } : track;
}

const middle = ([x, y, w, h]) => [x + w / 2, y + h / 2];

// Whether the centre of one of two boxes is within the other.
function isWithin(one, other) {
  const [from, to] = [middle(one), middle(other)];
  return [0, 1].every((k) => Math.abs(from[k] - to[k]) < Math.max(one[2 + k], other[2 + k]) / 2);
}
