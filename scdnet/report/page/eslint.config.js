// The Python side (scdnet/report/bundle.py) joins the modules by deleting `import` and `export`.
// The rules below keep them joinable, and keep names of files and classes from becoming markup.
const NOT_JOINABLE = [
  { selector: "ExportDefaultDeclaration", message: "The bundle knows only named exports." },
  { selector: "ExportAllDeclaration", message: "The bundle knows only named exports." },
  { selector: "ExportNamedDeclaration[declaration=null]", message: "Export where it is declared." },
  { selector: "ImportDefaultSpecifier", message: "The bundle knows only named imports." },
  { selector: "ImportNamespaceSpecifier", message: "The bundle knows only named imports." },
  { selector: "ImportExpression", message: "A page is one file and cannot import later." },
];
const MARKUP = ["innerHTML", "outerHTML", "insertAdjacentHTML", "srcdoc"].map((property) => ({
  property,
  message: "Names are not trusted: use textContent and element().",
}));
const BROWSER = [
  "atob", "Blob", "cancelAnimationFrame", "clearTimeout", "console", "DecompressionStream",
  "devicePixelRatio", "document", "getComputedStyle", "HTMLElement", "Image",
  "IntersectionObserver", "matchMedia", "navigator", "Path2D", "performance",
  "requestAnimationFrame", "ResizeObserver", "Response", "setTimeout", "TextDecoder", "URL",
  "window",
];
const NODE = ["Blob", "DecompressionStream", "Response", "TextDecoder", "Buffer", "URL"];
const names = (list) => Object.fromEntries(list.map((name) => [name, "readonly"]));

export default [
  { ignores: ["node_modules/"] },
  {
    files: ["*.js"],
    ignores: ["eslint.config.js"],
    languageOptions: { ecmaVersion: 2022, sourceType: "module", globals: names(BROWSER) },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "no-undef": "error",
      "no-unused-vars": "error",
      "no-shadow": "error",
      "no-redeclare": "error",
      "no-fallthrough": "error",
      "no-unreachable": "error",
      "no-dupe-keys": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-self-compare": "error",
      "no-use-before-define": ["error", { functions: false, classes: false }],
      "no-var": "error",
      "prefer-const": "error",
      eqeqeq: "error",
      curly: ["error", "multi-line"],
      complexity: ["error", 12],
      "max-depth": ["error", 3],
      "max-lines": ["error", { max: 300 }],
      "max-lines-per-function": ["error", { max: 50, skipComments: true }],
      "no-restricted-syntax": ["error", ...NOT_JOINABLE],
      "no-restricted-properties": ["error", ...MARKUP],
    },
  },
  {
    files: ["tests/*.js"],
    languageOptions: { ecmaVersion: 2022, sourceType: "module", globals: names(NODE) },
    rules: { "no-undef": "error", "no-unused-vars": "error", "prefer-const": "error" },
  },
];
