// What pages gain with JavaScript; all of them work without it.
(() => {
  "use strict";

  const say = (source, text, state) => {
    const light = source.querySelector("[data-live]") || document.querySelector("[data-live]");
    if (light) {
      light.textContent = text;
      light.dataset.live = state;
    }
  };
  document.addEventListener("htmx:sseOpen", (event) => say(event.target, "Live", "on"));
  document.addEventListener("htmx:sseError", (event) => say(event.target, "Reconnecting", "off"));
  document.addEventListener("htmx:sseClose", (event) => say(event.target, "Ended", "off"));

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      const selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      button.textContent = "Selected: press copy";
    }
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
})();
