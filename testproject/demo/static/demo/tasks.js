"use strict";

const rows = document.getElementById("rows");
const blank = document.getElementById("row");
const live = document.getElementById("live");

function row(task) {
  const copy = blank.content.cloneNode(true);
  for (const cell of copy.querySelectorAll("[data-field]")) {
    cell.textContent = task[cell.dataset.field];
    if ("value" in cell.dataset) cell.dataset.value = cell.textContent;
  }
  return copy;
}

function say(text) {
  if (live.textContent !== text) live.textContent = text;
}

async function show() {
  const response = await fetch(rows.dataset.url);
  if (!response.ok) throw new Error(response.statusText);
  const { tasks } = await response.json();
  rows.replaceChildren(...tasks.map(row));
  const unfinished = tasks.filter((task) => ["READY", "RUNNING"].includes(task.status)).length;
  say(unfinished ? `${unfinished} not finished yet` : "All finished");
  return unfinished ? 300 : 2000;
}

async function watch() {
  let pause = 2000;
  try {
    if (!document.hidden) pause = await show();
  } catch {
    say("The site does not answer");
  }
  setTimeout(watch, pause);
}

watch();
