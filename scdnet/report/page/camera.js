// The first coordinate of a joint that is absent in a frame.
export const ABSENT = -32768;
// The viewer stands to the left of where body 0 faces, as in scdnet/viz/render.py.
const DEFAULT_AZIMUTH_DEG = 35;
const DEFAULT_ELEVATION_DEG = 10;
const MIN_ELEVATION_DEG = -20;
const MAX_ELEVATION_DEG = 85;
// Space around the joints for the head, in millimeters (2-D: in 1/1000 of the trunk, which is half
// a meter), and around the drawing in CSS pixels.
const MARGIN = { 2: 180, 3: 90 };
const PADDING_PX = 3;

/** Make the camera from which all sequences are first seen; angles in degrees. */
export function defaultCamera() {
  return { azimuth: DEFAULT_AZIMUTH_DEG, elevation: DEFAULT_ELEVATION_DEG };
}

/** Turn a camera in place by angles in degrees; the elevation stops before it is upside down. */
export function turnCamera(camera, azimuthDeg, elevationDeg) {
  camera.azimuth = (((camera.azimuth + azimuthDeg) % 360) + 360) % 360;
  const elevation = camera.elevation + elevationDeg;
  camera.elevation = Math.min(Math.max(elevation, MIN_ELEVATION_DEG), MAX_ELEVATION_DEG);
}

/**
 * Write the rows of a camera's map into `basis`: right (0-2), up (3-5) and toward the viewer (6-8).
 *
 * In 2-D the drawing plane is that of the recording, however the camera is turned.
 */
export function cameraBasis(camera, dims, basis = new Float64Array(9)) {
  if (dims === 2) {
    basis.fill(0);
    basis[0] = 1;
    basis[4] = 1;
    return basis;
  }
  const azimuth = (camera.azimuth * Math.PI) / 180;
  const elevation = (camera.elevation * Math.PI) / 180;
  const aheadX = Math.sin(azimuth);
  const aheadY = Math.cos(azimuth);
  basis[0] = -aheadY;
  basis[1] = aheadX;
  basis[2] = 0;
  basis[3] = -aheadX * Math.sin(elevation);
  basis[4] = -aheadY * Math.sin(elevation);
  basis[5] = Math.cos(elevation);
  basis[6] = aheadX * Math.cos(elevation);
  basis[7] = aheadY * Math.cos(elevation);
  basis[8] = Math.sin(elevation);
  return basis;
}

/**
 * Project a point orthographically.
 *
 * @param {number[]} point (3,) z up, or (2,) y up
 * @param {{azimuth: number, elevation: number}} camera degrees
 * @returns {[number, number, number]} right, up and toward the viewer, in the unit of the point
 */
export function project(point, camera) {
  const basis = cameraBasis(camera, point.length);
  const along = (start) =>
    point.reduce((sum, value, axis) => sum + value * basis[start + axis], 0);
  return [along(0), along(3), along(6)];
}

/** Return the value below which a fraction of sorted numbers lies. */
function sortedQuantile(sorted, fraction) {
  return sorted[Math.round(fraction * (sorted.length - 1))];
}

/** Return the coordinates of all present joints as sorted arrays, one per axis. */
function sortedAxes({ positions, dims }) {
  const axes = Array.from({ length: dims }, () => []);
  for (let i = 0; i < positions.length; i += dims) {
    if (positions[i] !== ABSENT) {
      axes.forEach((axis, d) => axis.push(positions[i + d]));
    }
  }
  return axes.map((axis) => Float64Array.from(axis).sort());
}

/** Return the radius around a vertical axis that holds 99.7 % of the present joints. */
function radiusAround({ positions, dims }, x, y) {
  const distances = [];
  for (let i = 0; i < positions.length; i += dims) {
    if (positions[i] !== ABSENT) {
      distances.push(Math.hypot(positions[i] - x, positions[i + 1] - y));
    }
  }
  return sortedQuantile(Float64Array.from(distances).sort(), 0.997);
}

/**
 * Measure the space that a motion takes, once over all frames and without regard to the camera.
 *
 * @returns {{center: number[], radius: number, halfHeight: number}} millimeters; the radius is
 *   around the vertical axis through the center (2-D: half of the width)
 */
export function fit(motion) {
  const axes = sortedAxes(motion);
  if (axes[0].length === 0) {
    return { center: new Array(motion.dims).fill(0), radius: 1000, halfHeight: 1000 };
  }
  // A joint that jumps far away for a moment must not shrink the drawing.
  const low = axes.map((axis) => sortedQuantile(axis, 0.003));
  const high = axes.map((axis) => sortedQuantile(axis, 0.997));
  const center = low.map((value, axis) => (value + high[axis]) / 2);
  const last = motion.dims - 1;
  const halfHeight = (high[last] - low[last]) / 2;
  const radius =
    motion.dims === 2 ? (high[0] - low[0]) / 2 : radiusAround(motion, center[0], center[1]);
  return { center, radius, halfHeight };
}

/**
 * Place a motion on a canvas so that it fits from every side.
 *
 * @param {{center: number[], radius: number, halfHeight: number}} space from `fit`
 * @param {number} width CSS pixels
 * @param {number} height CSS pixels
 * @returns {{scale: number, centerX: number, centerY: number, center3d: number[]}} pixels per
 *   millimeter, and the pixel at which the point `center3d` lies
 */
export function layoutOf(space, width, height) {
  const { center, radius, halfHeight } = space;
  const margin = MARGIN[center.length];
  const reach = center.length === 2 ? halfHeight : Math.hypot(radius, halfHeight);
  const scale = Math.min(
    Math.max(width / 2 - PADDING_PX, 1) / (radius + margin),
    Math.max(height / 2 - PADDING_PX, 1) / (reach + margin),
  );
  return { scale, centerX: width / 2, centerY: height / 2, center3d: center };
}
