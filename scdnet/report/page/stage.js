import { ABSENT, cameraBasis, fit, layoutOf } from "./camera.js";

const TRUNK = 0;
const LEFT = 1;
const RIGHT = 2;
// The second body is drawn with this opacity, so that it stays distinct from the first.
const SECOND_BODY_OPACITY = 0.45;
const HEAD_RADIUS_MM = 75;
// 2-D recordings have a trunk of length 1000; that of people is half a meter.
const HEAD_RADIUS_2D = 2 * HEAD_RADIUS_MM;

/**
 * Group bones by the side of their child joint, so that each color is stroked once.
 *
 * @returns {{sides: number[], bones: Int32Array[], head: number}} side per joint; bones[side] as
 *   child, parent, child, parent, ...; the joint of the head or -1
 */
export function groupBones(skeleton) {
  const lists = [[], [], []];
  for (const [child, parent] of skeleton.bones) {
    lists[skeleton.side[child]].push(child, parent);
  }
  const names = skeleton.joints.map((name) => name.toLowerCase());
  const head = names.findIndex((name) => name === "head" || name === "nose");
  return { sides: skeleton.side, bones: lists.map((list) => Int32Array.from(list)), head };
}

/**
 * Split a time into a frame and the fraction of the way to the next; shorter motions repeat.
 *
 * The last frame is held rather than blended into the first.
 */
export function frameAt(time, fps, frames) {
  const position = (time * fps) % frames;
  const frame = Math.min(Math.floor(position + 1e-6), frames - 1);
  const fraction = frame === frames - 1 ? 0 : Math.max(position - frame, 0);
  return { frame, fraction };
}

/**
 * Project one body between two frames to CSS pixels; absent joints become NaN.
 *
 * Returns the number of present joints.
 *
 * @param {Float32Array} out (joints * 2) x, y of each joint
 * @param {Float32Array} depths (joints) toward the viewer, in pixels
 */
export function projectBody(motion, frame, fraction, body, basis, layout, out, depths) {
  const { joints, dims, bodies, positions } = motion;
  const stride = bodies * joints * dims;
  const start = frame * stride + body * joints * dims;
  const next = fraction > 0 ? stride : 0;
  const [cx, cy, cz = 0] = layout.center3d;
  let numPresent = 0;
  for (let joint = 0; joint < joints; joint += 1) {
    const at = start + joint * dims;
    if (positions[at] === ABSENT) {
      out[2 * joint] = NaN;
      continue;
    }
    numPresent += 1;
    // A joint that is about to vanish stays where it is.
    const then = positions[at + next] === ABSENT ? at : at + next;
    const x = positions[at] + fraction * (positions[then] - positions[at]) - cx;
    const y = positions[at + 1] + fraction * (positions[then + 1] - positions[at + 1]) - cy;
    const z =
      dims === 3 ? positions[at + 2] + fraction * (positions[then + 2] - positions[at + 2]) - cz : 0;
    const right = x * basis[0] + y * basis[1] + z * basis[2];
    const up = x * basis[3] + y * basis[4] + z * basis[5];
    out[2 * joint] = layout.centerX + layout.scale * right;
    out[2 * joint + 1] = layout.centerY - layout.scale * up;
    depths[joint] = x * basis[6] + y * basis[7] + z * basis[8];
  }
  return numPresent;
}

/** Report whether the left side of a projected body is nearer to the viewer than the right. */
export function isLeftNearer(sides, points, depths) {
  let left = 0;
  let right = 0;
  for (let joint = 0; joint < sides.length; joint += 1) {
    if (!Number.isNaN(points[2 * joint])) {
      left += sides[joint] === LEFT ? depths[joint] : 0;
      right += sides[joint] === RIGHT ? depths[joint] : 0;
    }
  }
  return left >= right;
}

/** Stroke bones (child, parent, ...) between projected joints as one path. */
function strokeBones(context, bones, points, color) {
  context.beginPath();
  for (let i = 0; i < bones.length; i += 2) {
    const child = 2 * bones[i];
    const parent = 2 * bones[i + 1];
    if (!Number.isNaN(points[child]) && !Number.isNaN(points[parent])) {
      context.moveTo(points[child], points[child + 1]);
      context.lineTo(points[parent], points[parent + 1]);
    }
  }
  context.strokeStyle = color;
  context.stroke();
}

/** One canvas on which the player draws one sequence. */
export class Stage {
  constructor(player, canvas, row) {
    this.player = player;
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.isVisible = false;
    this.width = 0;
    this.height = 0;
    this.setRow(row);
  }

  /** Show another sequence. */
  setRow(row) {
    this.row = row;
    // A first drawing is made out of view as well, so that scrolling does not show empty canvases.
    this.isBlank = true;
    this.motion = null;
    this.space = null;
    this.cachedLayout = null;
    this.player.onStageChange();
  }

  /** Remove this stage from the player. */
  detach() {
    this.player.detach(this);
  }

  /** Set the size in CSS pixels; the canvas gets as many pixels as the screen has. */
  resize(width, height, ratio) {
    this.width = width;
    this.height = height;
    this.ratio = ratio;
    this.isBlank = true;
    this.canvas.width = Math.max(Math.round(width * ratio), 1);
    this.canvas.height = Math.max(Math.round(height * ratio), 1);
    this.cachedLayout = null;
  }

  /**
   * Return where the drawing lies on the canvas, or null while the motion is not loaded.
   *
   * @returns {?{scale: number, centerX: number, centerY: number, center3d: number[]}} CSS pixels
   *   per millimeter; the joint p is drawn at centerX + scale * right, centerY - scale * up, with
   *   (right, up) = project(p - center3d, camera)
   */
  layout() {
    if (this.cachedLayout === null && this.load()) {
      this.cachedLayout = layoutOf(this.space, this.width, this.height);
    }
    return this.cachedLayout;
  }

  /** Fetch the motion if it has arrived; report whether there is one. */
  load() {
    if (this.motion === null) {
      this.motion = this.player.motions.get(this.row);
      this.space = this.motion === null ? null : fit(this.motion);
    }
    return this.motion !== null;
  }

  /** Draw the pose at the player's time. */
  draw() {
    const { context } = this;
    const layout = this.layout();
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    if (layout === null) {
      if (!this.player.motions.has(this.row)) {
        this.drawText("motion left out");
        this.isBlank = false;
      }
      return;
    }
    this.isBlank = false;
    const { player, motion } = this;
    const basis = cameraBasis(player.camera, motion.dims, player.basis);
    this.drawGround(layout);
    context.lineWidth = Math.min(Math.max(this.height / 72, 1.6), 5);
    context.lineCap = "round";
    const { frame, fraction } = frameAt(player.time, player.report.fps, motion.frames);
    let numJoints = 0;
    for (let body = motion.bodies - 1; body >= 0; body -= 1) {
      numJoints += projectBody(
        motion, frame, fraction, body, basis, layout, player.points, player.depths);
      context.globalAlpha = body === 0 ? 1 : SECOND_BODY_OPACITY;
      this.drawBody(layout);
    }
    context.globalAlpha = 1;
    if (numJoints === 0) {
      this.drawText("no body in this frame");
    }
  }

  /** Write a small text in the middle, so that an empty canvas does not seem broken. */
  drawText(text) {
    const { context } = this;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillStyle = this.player.colors.text;
    context.fillText(text, this.width / 2, this.height / 2, this.width - 8);
  }

  /** Draw the projected body in the player's buffers, the far side first. */
  drawBody(layout) {
    const { context, player } = this;
    const { points, depths, figure, colors } = player;
    const isLeftFront = isLeftNearer(figure.sides, points, depths);
    const far = isLeftFront ? RIGHT : LEFT;
    const near = isLeftFront ? LEFT : RIGHT;
    strokeBones(context, figure.bones[far], points, colors.sides[far]);
    strokeBones(context, figure.bones[TRUNK], points, colors.sides[TRUNK]);
    if (figure.head >= 0 && !Number.isNaN(points[2 * figure.head])) {
      const radius = this.motion.dims === 2 ? HEAD_RADIUS_2D : HEAD_RADIUS_MM;
      context.beginPath();
      context.arc(
        points[2 * figure.head], points[2 * figure.head + 1], radius * layout.scale, 0, 2 * Math.PI);
      context.fillStyle = colors.sides[TRUNK];
      context.fill();
    }
    strokeBones(context, figure.bones[near], points, colors.sides[near]);
  }

  /** Draw the ground below the motion: an ellipse, or a line in 2-D. */
  drawGround(layout) {
    const { context, player, space } = this;
    const elevation = this.motion.dims === 2 ? 0 : (player.camera.elevation * Math.PI) / 180;
    const y = layout.centerY + space.halfHeight * Math.cos(elevation) * layout.scale;
    const radius = space.radius * layout.scale;
    context.beginPath();
    context.ellipse(
      layout.centerX, y, radius, radius * Math.abs(Math.sin(elevation)), 0, 0, 2 * Math.PI);
    context.fillStyle = player.colors.ground;
    context.fill();
    context.strokeStyle = player.colors.groundLine;
    context.lineWidth = 1;
    context.stroke();
  }
}
