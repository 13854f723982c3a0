// The body of a function: watches where the focus goes in the part of the page that a selector
// names, until the function that it leaves at window.whereFocusWent tells it.
"use strict";

const LINES = ["outline", "borderTop", "borderRight", "borderBottom", "borderLeft"];
const SIGNS = ["boxShadow", "backgroundColor", "textDecorationLine"];
const root = document.querySelector(arguments[0]);

function isReachable(element) {
  if (element.tabIndex < 0 || element.disabled || !element.checkVisibility({ visibilityProperty: true })) {
    return false;
  }
  if (element.type !== "radio") return true;
  const group = [...document.getElementsByName(element.name)].filter((one) => one.form === element.form);
  return element === (group.find((one) => one.checked) ?? group[0]);
}

function signs(element) {
  const style = getComputedStyle(element);
  const lines = LINES.filter((name) => style[`${name}Style`] !== "none");
  return [...lines, ...SIGNS].map((name) => style[name]).join();
}

const still = new CSSStyleSheet();
still.replaceSync("* { transition: none !important; }");
document.adoptedStyleSheets.push(still);

const selector = "a[href], button, input, select, textarea, summary, iframe, [tabindex]";
const things = [...root.querySelectorAll(selector)].filter(isReachable);
const stops = [...document.querySelectorAll(selector)].filter(isReachable).length;
document.activeElement.blur();
const before = things.map(signs);
const went = [];

function note({ target }) {
  const place = things.indexOf(target);
  if (place >= 0) went.push({ place, isSeen: signs(target) !== before[place] });
}

document.addEventListener("focusin", note);

window.whereFocusWent = () => {
  document.removeEventListener("focusin", note);
  document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => sheet !== still);
  document.activeElement.blur();
  delete window.whereFocusWent;
  return went;
};

const names = things.map(
  (thing) => `${thing.cloneNode(false).outerHTML} ${JSON.stringify(thing.textContent.trim().slice(0, 40))}`,
);
return { names, stops };
