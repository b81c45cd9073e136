const COPIED_MS = 2000;

/** Select the text of an element, so that it can be copied by hand. */
function selectText(node) {
  const range = document.createRange();
  range.selectNodeContents(node);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

/** Make the button beside the command copy it. */
export function mountHeader() {
  const button = document.getElementById("copy-command");
  if (button === null) {
    return;
  }
  const command = document.getElementById("command");
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    } catch {
      // The browser does not allow it, for instance in a frame.
      selectText(command);
      button.textContent = "Selected; press Ctrl+C";
    }
    setTimeout(() => {
      button.textContent = label;
    }, COPIED_MS);
  });
}
