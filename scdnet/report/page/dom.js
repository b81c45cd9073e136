/**
 * Make an HTML element. Text and attributes are set as text, so that no name can become markup.
 *
 * @param {string} tag
 * @param {{class?: string, text?: string|number, attributes?: Object<string, string|number>}} options
 * @param {...(Node|string|null)} children appended after the text; null is skipped
 * @returns {HTMLElement}
 */
export function element(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  if (options.class) {
    node.className = options.class;
  }
  if (options.text !== undefined && options.text !== null) {
    node.textContent = String(options.text);
  }
  for (const [name, value] of Object.entries(options.attributes ?? {})) {
    node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/**
 * Make a labeled `<select>` with its options.
 *
 * @param {string} label
 * @param {Array<[string, string]>} choices pairs of (value, text)
 * @returns {{field: HTMLElement, select: HTMLSelectElement}}
 */
export function selectField(label, choices) {
  // Without it, the options would be part of the name that a screen reader tells.
  const select = element("select", { attributes: { "aria-label": label } });
  for (const [value, text] of choices) {
    select.append(element("option", { text, attributes: { value } }));
  }
  const name = element("span", { class: "field-name", text: label });
  return { field: element("label", { class: "field" }, name, select), select };
}

/** Return the text of an amount with its noun, such as "1 sequence" or "2,000 sequences". */
export function plural(num, noun) {
  return `${num.toLocaleString("en-US")} ${noun}${num === 1 ? "" : "s"}`;
}
