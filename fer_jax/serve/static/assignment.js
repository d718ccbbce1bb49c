// Pairs of rows and columns so that the sum of their gains is greatest. A pure function.

// gains[row][column] -> for each row its column, or -1; as many pairs as the shorter side has.
// By shortest augmenting paths (Jonker and Volgenant, "A Shortest Augmenting Path Algorithm", 1987).
export function assign(gains) {
  const [rows, columns] = [gains.length, gains[0]?.length ?? 0];
  if (!rows || !columns) return gains.map(() => -1);
  if (rows <= columns) return shortSide(gains);
  const rowOf = shortSide(gains[0].map((_, column) => gains.map((row) => row[column])));
  return gains.map((_, row) => rowOf.indexOf(row));
}

// The same for no more rows than columns: each row gets one.
function shortSide(gains) {
  const columns = gains[0].length;
  const owner = new Array(columns).fill(-1);
  const rowPrice = gains.map(() => 0);
  const columnPrice = new Array(columns).fill(0);
  const cost = (row, column) => -gains[row][column] - rowPrice[row] - columnPrice[column];
  gains.forEach((_, first) => {
    const distance = new Array(columns).fill(Infinity);
    const before = new Array(columns).fill(-1); // the column that a path to this one comes from
    const done = new Set();
    let [row, last, length] = [first, -1, 0];
    // The nearest column that is free, over columns that others would give up.
    while (row !== -1) {
      for (let column = 0; column < columns; column++) {
        const through = length + cost(row, column);
        if (!done.has(column) && through < distance[column]) [distance[column], before[column]] = [through, last];
      }
      last = nearest(distance, done);
      length = distance[last];
      done.add(last);
      row = owner[last];
    }
    for (const column of done) {
      if (owner[column] !== -1) rowPrice[owner[column]] += length - distance[column];
      columnPrice[column] -= length - distance[column];
    }
    rowPrice[first] += length;
    for (; last !== -1; last = before[last]) owner[last] = before[last] === -1 ? first : owner[before[last]];
  });
  return gains.map((_, row) => owner.indexOf(row));
}

function nearest(distance, done) {
  return distance.reduce((best, d, column) => (!done.has(column) && (best < 0 || d < distance[best]) ? column : best), -1);
}
