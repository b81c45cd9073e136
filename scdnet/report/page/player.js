import { defaultCamera, turnCamera } from "./camera.js";
import { Stage, groupBones } from "./stage.js";

const DRAG_DEG_PER_PX = 0.6;
const KEY_STEP_DEG = 10;
const ARROW_TURNS = {
  ArrowLeft: [-KEY_STEP_DEG, 0],
  ArrowRight: [KEY_STEP_DEG, 0],
  ArrowUp: [0, -KEY_STEP_DEG],
  ArrowDown: [0, KEY_STEP_DEG],
};
// Inputs in which Space has no meaning of its own.
const SPACE_FREE_INPUTS = new Set(["range"]);
// After a pause of the browser (a hidden tab) the clock must not leap, in seconds.
const MAX_STEP = 0.25;

/** Report whether Space means something to the element that has the focus. */
export function usesSpace(target) {
  const tag = (target?.tagName ?? "").toLowerCase();
  if (tag === "input") {
    return !SPACE_FREE_INPUTS.has(target.type);
  }
  return ["textarea", "select", "button", "summary"].includes(tag) || Boolean(target?.isContentEditable);
}

/** The one clock and the one camera of all moving skeletons on the page. */
export class Player {
  /**
   * @param {object} report the payload
   * @param {Motions} motions
   */
  constructor(report, motions) {
    this.report = report;
    this.motions = motions;
    this.time = 0;
    this.speed = 1;
    this.playing = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.camera = defaultCamera();
    this.duration = 1 / report.fps;
    this.numDrawn = 0;
    this.stages = new Map();
    this.callbacks = new Set();
    this.figure = groupBones(report.skeleton);
    this.basis = new Float64Array(9);
    this.points = new Float32Array(2 * report.skeleton.joints.length);
    this.depths = new Float32Array(report.skeleton.joints.length);
    this.isScheduled = false;
    this.lastTick = null;
    this.tick = this.tick.bind(this);
    this.observe();
    this.readColors();
    this.listen();
  }

  /**
   * Draw a sequence on a canvas from now on.
   *
   * @returns {Stage} with setRow(row), detach() and layout()
   */
  attach(canvas, row) {
    const stage = new Stage(this, canvas, row);
    this.stages.set(canvas, stage);
    this.sizes.observe(canvas);
    this.views.observe(canvas);
    this.listenToTurns(canvas);
    this.onStageChange();
    return stage;
  }

  /** Stop drawing a stage. */
  detach(stage) {
    this.stages.delete(stage.canvas);
    this.sizes.unobserve(stage.canvas);
    this.views.unobserve(stage.canvas);
    this.onStageChange();
  }

  /** Return the stage of a canvas, or undefined. */
  stageOf(canvas) {
    return this.stages.get(canvas);
  }

  /** Switch between playing and paused. */
  toggle() {
    this.playing = !this.playing;
    this.lastTick = null;
    this.invalidate();
  }

  /** Go to a time in seconds. */
  seek(seconds) {
    this.time = seconds;
    this.invalidate();
  }

  /** Set how many seconds of motion pass in a second. */
  setSpeed(speed) {
    this.speed = speed;
    this.invalidate();
  }

  /** Turn the camera of all stages by angles in degrees. */
  turn(azimuthDeg, elevationDeg) {
    turnCamera(this.camera, azimuthDeg, elevationDeg);
    this.invalidate();
  }

  /** Go back to the first view. */
  resetView() {
    Object.assign(this.camera, defaultCamera());
    this.invalidate();
  }

  /** Call `callback(player)` after each drawn frame; returns a function that ends this. */
  subscribe(callback) {
    this.callbacks.add(callback);
    return () => this.callbacks.delete(callback);
  }

  /** Draw again in the next frame. */
  invalidate() {
    if (!this.isScheduled) {
      this.isScheduled = true;
      requestAnimationFrame(this.tick);
    }
  }

  /** Measure the longest sequence on the page again after a stage has changed. */
  onStageChange() {
    const { frames } = this.report.sequences;
    let longest = 1;
    for (const stage of this.stages.values()) {
      longest = Math.max(longest, frames[stage.row]);
    }
    this.duration = longest / this.report.fps;
    this.invalidate();
  }

  /** Move the clock and draw all stages in view. */
  tick(now) {
    this.isScheduled = false;
    if (this.playing) {
      const step = this.lastTick === null ? 0 : Math.min((now - this.lastTick) / 1000, MAX_STEP);
      this.time = (this.time + step * this.speed) % this.duration;
      this.lastTick = now;
      this.invalidate();
    } else if (this.time >= this.duration) {
      // The longest sequence has left the page.
      this.time %= this.duration;
    }
    for (const stage of this.stages.values()) {
      if ((stage.isVisible || stage.isBlank) && stage.width > 0) {
        stage.draw();
      }
    }
    this.numDrawn += 1;
    for (const callback of this.callbacks) {
      callback(this);
    }
  }

  /** Follow the sizes of the canvases and whether they are in view. */
  observe() {
    this.views = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const stage = this.stages.get(entry.target);
        if (stage) {
          stage.isVisible = entry.isIntersecting;
        }
      }
      this.invalidate();
    }, { rootMargin: "100px" });
    this.sizes = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) {
        const ratio = window.devicePixelRatio || 1;
        this.stages.get(target)?.resize(contentRect.width, contentRect.height, ratio);
      }
      this.invalidate();
    });
  }

  /** Read the colors of the style sheet for the present scheme. */
  readColors() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    this.colors = {
      sides: [color("--trunk"), color("--left-limb"), color("--right-limb")],
      ground: color("--ground"),
      groundLine: color("--ground-line"),
      text: color("--muted"),
    };
    this.invalidate();
  }

  /** Follow the color scheme, and pause with Space. */
  listen() {
    const scheme = window.matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => this.readColors());
    document.addEventListener("keydown", (event) => {
      const hasModifier = event.ctrlKey || event.altKey || event.metaKey || event.shiftKey;
      if (event.key === " " && !hasModifier && !usesSpace(event.target)) {
        event.preventDefault();
        this.toggle();
      }
    });
  }

  /** Turn the camera by dragging a canvas or by arrow keys on it. */
  listenToTurns(canvas) {
    let last = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.isPrimary && event.button === 0) {
        canvas.setPointerCapture(event.pointerId);
        last = event;
      }
    });
    canvas.addEventListener("pointermove", (event) => {
      if (last !== null && event.pointerId === last.pointerId) {
        const x = event.clientX - last.clientX;
        const y = event.clientY - last.clientY;
        last = event;
        this.turn(x * DRAG_DEG_PER_PX, y * DRAG_DEG_PER_PX);
      }
    });
    canvas.addEventListener("lostpointercapture", () => {
      last = null;
    });
    canvas.addEventListener("keydown", (event) => {
      const angles = ARROW_TURNS[event.key];
      if (angles) {
        event.preventDefault();
        this.turn(...angles);
      }
    });
  }
}
