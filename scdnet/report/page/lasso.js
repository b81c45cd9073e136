/** Geometry of the embedding map: what is inside a shape, what is near, and the view. */

/** Report whether (x, y) lies inside the polygon of corners `[x, y]` (even-odd rule). */
export function isInside(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i, i += 1) {
    const [ax, ay] = polygon[i];
    const [bx, by] = polygon[j];
    const crosses = ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax;
    if (crosses) inside = !inside;
  }
  return inside;
}

/** Return the corners of the upright box with (ax, ay) and (bx, by) as opposite corners. */
export function boxCorners(ax, ay, bx, by) {
  return [
    [ax, ay],
    [bx, ay],
    [bx, by],
    [ax, by],
  ];
}

/** Return the indices of the points `{x, y}` (arrays of pixels) inside the polygon. */
export function pointsInside(points, polygon, indices) {
  return indices.filter((i) => isInside(polygon, points.x[i], points.y[i]));
}

/** Return the index of the point within `radius` pixels that is nearest (x, y), or -1. */
export function nearestPoint(points, indices, x, y, radius) {
  let best = -1;
  let bestDistance = radius * radius;
  for (const i of indices) {
    const distance = (points.x[i] - x) ** 2 + (points.y[i] - y) ** 2;
    if (distance <= bestDistance) {
      best = i;
      bestDistance = distance;
    }
  }
  return best;
}

/**
 * Return the index of the next point from `from` in the direction (dx, dy), or `from`.
 *
 * Only points within 45 degrees of the direction count, and one that is further off the
 * direction has to be nearer, so that repeated steps keep to the line one expects.
 */
export function nearestInDirection(points, indices, from, dx, dy) {
  let best = from;
  let bestCost = Infinity;
  for (const i of indices) {
    if (i === from) continue;
    const right = points.x[i] - points.x[from];
    const down = points.y[i] - points.y[from];
    const along = right * dx + down * dy;
    const across = Math.abs(right * dy - down * dx);
    if (along <= 0 || across > along) continue;
    const cost = along + 2 * across;
    if (cost < bestCost) {
      best = i;
      bestCost = cost;
    }
  }
  return best;
}

/** Return `{scale, x, y}` that fits the map into `width` x `height` pixels, same scale for both axes. */
export function fitView(xs, ys, width, height, margin) {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  xs.forEach((x, i) => {
    if (!Number.isFinite(x) || !Number.isFinite(ys[i])) return;
    left = Math.min(left, x);
    right = Math.max(right, x);
    low = Math.min(low, ys[i]);
    high = Math.max(high, ys[i]);
  });
  if (left > right) return { scale: 1, x: width / 2, y: height / 2 };
  const scale = Math.min(
    (width - 2 * margin) / (right - left || 1e-9),
    (height - 2 * margin) / (high - low || 1e-9),
    1e6,
  );
  return {
    scale,
    x: width / 2 - ((left + right) / 2) * scale,
    y: height / 2 + ((low + high) / 2) * scale,
  };
}

/** Return `view` scaled by `factor` so that what lies at pixel (x, y) stays there. */
export function zoomView(view, factor, x, y) {
  return {
    scale: view.scale * factor,
    x: x - (x - view.x) * factor,
    y: y - (y - view.y) * factor,
  };
}

/** Write the pixels of the map coordinates `xs`, `ys` (y up) under `view` into `points`. */
export function projectPoints(points, xs, ys, view) {
  for (let i = 0; i < xs.length; i += 1) {
    points.x[i] = view.x + xs[i] * view.scale;
    points.y[i] = view.y - ys[i] * view.scale;
  }
}

/** Return `[value, count]` of `values`, the most frequent first. */
export function countValues(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
}
