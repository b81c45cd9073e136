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
    // The end itself would be the start of the next round.
    const last = player.duration - 0.001;
    player.seek(Math.min((Number(slider.value) / 1000) * player.duration, last));
  });
  const clock = element("span", { class: "clock" });
  const total = element("span", { class: "clock total" });
  const update = () => {
    const time = player.time.toFixed(1);
    const value = String(Math.round((1000 * player.time) / player.duration));
    if (slider.value !== value) {
      slider.value = value;
    }
    if (clock.textContent !== time) {
      clock.textContent = time;
      total.textContent = `/ ${player.duration.toFixed(1)} s`;
      slider.setAttribute("aria-valuetext", `${time} seconds`);
    }
  };
  return { slider, clock, total, update };
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

/** Make the button that turns all skeletons back. */
function makeReset(player) {
  const reset = element("button", {
    class: "reset",
    attributes: { type: "button", "aria-label": "Reset view", title: "Reset view" },
  });
  reset.append(
    element("span", { text: "↺", attributes: { "aria-hidden": "true" } }),
    element("span", { class: "reset-text", text: "Reset view" }),
  );
  reset.addEventListener("click", () => player.resetView());
  return reset;
}

/** Fill the bar that controls all moving skeletons and stays in view. */
export function mountBar(root, player) {
  const toggle = makeToggle(player);
  const time = makeSlider(player);
  const parts = [toggle.button, time.slider, time.clock, time.total, makeSpeed(player)];
  root.replaceChildren(...parts, makeReset(player));
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
