// The body of a function: returns what is wrong with the part of the page that a selector names,
// in a window of this width.
"use strict";

const MINIMAL_CONTRAST = 4.5;
const CONTROLS = "input:not([type=hidden]), select, textarea, meter, progress";
const root = document.querySelector(arguments[0]);
const width = arguments[1];
const found = [];

function every(selector) {
  return [...root.querySelectorAll(selector)].filter(isShown);
}

function isShown(element) {
  return element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
}

// Some texts are there for screen readers only.
function isForEyes(element) {
  const box = element.getBoundingClientRect();
  return box.width > 1 && box.height > 1;
}

function describe(element) {
  const copy = element.cloneNode(false).outerHTML.replace(/<\/[\w-]+>$/, "");
  return `${copy} ${JSON.stringify(element.textContent.trim().slice(0, 40))}`;
}

function report(what, element) {
  found.push(element ? `${what}: ${describe(element)}` : what);
}

// --- Names ---

function textOf(ids) {
  return ids.split(/\s+/).map((id) => document.getElementById(id)?.textContent ?? "").join("").trim();
}

function labelOf(element) {
  return (
    element.getAttribute("aria-label")?.trim() ||
    textOf(element.getAttribute("aria-labelledby") ?? "") ||
    [...(element.labels ?? [])].map(contentOf).join("").trim() ||
    element.title.trim()
  );
}

function contentOf(element) {
  const images = [...element.querySelectorAll("img[alt]")].map((image) => image.alt);
  return [element.textContent, ...images].join("").trim();
}

function checkNames() {
  for (const control of every(CONTROLS)) {
    const isButton = ["submit", "button", "reset"].includes(control.type);
    if (!labelOf(control) && !(isButton && control.value)) report("no label", control);
  }
  for (const thing of every("a[href], button, summary, [role=button], [role=link]")) {
    if (!labelOf(thing) && !contentOf(thing)) report("no name", thing);
  }
  for (const image of every("img:not([alt]), [role=img]")) {
    if (image.localName === "img" || !labelOf(image)) report("no alternative text", image);
  }
  for (const region of every("iframe, [role=region], [role=group], [role=dialog], [role=progressbar]")) {
    if (!labelOf(region)) report("no label", region);
  }
}

// --- Structure ---

function checkPage() {
  if (!document.documentElement.lang) report("the page has no language");
  if (!document.title.trim()) report("the page has no title");
  if (document.querySelectorAll("main, [role=main]").length !== 1) report("not one main part");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) {
    report(`more than one element has the id ${id}`);
  }
}

function checkReferences() {
  for (const name of ["for", "aria-labelledby", "aria-describedby", "aria-controls"]) {
    for (const element of root.querySelectorAll(`[${name}]`)) {
      const lost = element.getAttribute(name).split(/\s+/).some((id) => !document.getElementById(id));
      if (lost) report(`${name} names nothing`, element);
    }
  }
}

function checkHeadings() {
  const headings = every("h1, h2, h3, h4, h5, h6");
  if (headings.filter((heading) => heading.localName === "h1").length !== 1) report("not one h1");
  let former = 0;
  for (const heading of headings) {
    const level = Number(heading.localName[1]);
    if (level > former + 1) report(`h${level} follows h${former}`, heading);
    if (!contentOf(heading)) report("an empty heading", heading);
    former = level;
  }
}

function checkTables() {
  for (const table of every("table")) {
    if (!table.querySelector("th")) report("a table without headers", table);
  }
}

// --- Contrast ---

const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

function paint(color) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
  return { channels: [red, green, blue], alpha: alpha / 255 };
}

function layOver(below, { channels, alpha }) {
  const mixed = channels.map((channel, place) => channel * alpha + below.channels[place] * (1 - alpha));
  return { channels: mixed, alpha: 1 };
}

function sheet() {
  const probe = document.body.appendChild(document.createElement("span"));
  probe.style.backgroundColor = "Canvas";
  const color = getComputedStyle(probe).backgroundColor;
  probe.remove();
  return paint(color);
}

const blank = sheet();

function ancestry(element) {
  const line = [];
  for (let one = element; one; one = one.parentElement) line.push(one);
  return line;
}

function ground(element) {
  const layers = ancestry(element).map((one) => paint(getComputedStyle(one).backgroundColor));
  return layers.reduceRight(layOver, blank);
}

function luminance({ channels }) {
  const [red, green, blue] = channels.map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function checkContrast(element, pseudo) {
  const below = ground(element);
  const opacity = ancestry(element).reduce((all, one) => all * getComputedStyle(one).opacity, 1);
  const ink = paint(getComputedStyle(element, pseudo).color);
  const text = layOver(below, { ...ink, alpha: ink.alpha * opacity });
  const [dark, light] = [luminance(text), luminance(below)].sort((one, other) => one - other);
  const contrast = (light + 0.05) / (dark + 0.05);
  if (contrast < MINIMAL_CONTRAST) {
    report(`contrast ${contrast.toFixed(2)} of ${pseudo ?? "text"}`, element);
  }
}

function hasOwnText(element) {
  const isText = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim();
  return [...element.childNodes].some(isText) || ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName);
}

function checkContrasts() {
  const texts = every("*:not(script, style, option, optgroup, :disabled)").filter(isForEyes);
  for (const element of texts.filter((element) => !element.closest("svg"))) {
    if (hasOwnText(element)) checkContrast(element);
    if (element.placeholder) checkContrast(element, "::placeholder");
    for (const pseudo of ["::before", "::after"]) {
      if (/^"\s*[\p{L}\p{N}]/u.test(getComputedStyle(element, pseudo).content)) {
        checkContrast(element, pseudo);
      }
    }
  }
}

// --- Width ---

function checkWidth() {
  if (document.scrollingElement.scrollWidth <= width) return;
  report(`wider than ${width} pixels`);
  for (const element of every("*")) {
    const sticksOut = element.getBoundingClientRect().right > width + 1;
    const isCaught = ancestry(element).some((one) => getComputedStyle(one).overflowX !== "visible");
    if (sticksOut && !isCaught) report("sticks out", element);
  }
}

checkPage();
checkNames();
checkReferences();
checkHeadings();
checkTables();
checkContrasts();
checkWidth();
return found;
