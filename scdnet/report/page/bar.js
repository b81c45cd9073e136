import { element } from "./dom.js";

const SPEEDS = [0.5, 1, 2];

/** Make the button that plays and pauses. */
function makeToggle(player) {
  const icon = element("span", { class: "icon", attributes: { "aria-hidden": "true" } });
  const button = element("button", { class: "toggle", attributes: { type: "button" } }, icon);
  button.addEventListener("click", () => player.toggle());
  const update = () => {
    button.setAttribute("aria-label", player.playing ? "Pause" : "Play");
    button.title = player.playing ? "Pause (Space)" : "Play (Space)";
    icon.classList.toggle("is-playing", player.playing);
  };
  return { button, update };
}

/** Make the slider of the time, in thousandths of the longest sequence on the page. */
function makeSlider(player) {
  const slider = element("input", {
    class: "time",
    attributes: { type: "range", min: 0, max: 1000, step: 1, "aria-label": "Time" },
  });
  slider.addEventListener("input", () => {
    player.seek((Number(slider.value) / 1000) * player.duration);
  });
  const clock = element("output", { class: "clock" });
  const update = () => {
    const time = player.time.toFixed(1);
    const value = String(Math.round((1000 * player.time) / player.duration));
    if (slider.value !== value) {
      slider.value = value;
    }
    const text = `${time} / ${player.duration.toFixed(1)} s`;
    if (clock.textContent !== text) {
      clock.textContent = text;
      slider.setAttribute("aria-valuetext", `${time} seconds`);
    }
  };
  return { slider, clock, update };
}

/** Make the choice of speed. */
function makeSpeed(player) {
  const select = element("select", { class: "speed", attributes: { "aria-label": "Speed" } });
  for (const speed of SPEEDS) {
    select.append(element("option", { text: `${speed}×`, attributes: { value: speed } }));
  }
  select.value = "1";
  select.addEventListener("change", () => player.setSpeed(Number(select.value)));
  return select;
}

/** Fill the bar that controls all moving skeletons and stays in view. */
export function mountBar(root, player) {
  const toggle = makeToggle(player);
  const time = makeSlider(player);
  const reset = element("button", {
    class: "reset",
    text: "Reset view",
    attributes: { type: "button", title: "Turn all skeletons back to the first view" },
  });
  reset.addEventListener("click", () => player.resetView());
  root.replaceChildren(toggle.button, time.slider, time.clock, makeSpeed(player), reset);
  root.hidden = false;
  let wasPlaying = null;
  player.subscribe(() => {
    if (wasPlaying !== player.playing) {
      wasPlaying = player.playing;
      toggle.update();
    }
    time.update();
  });
  toggle.update();
  time.update();
}
