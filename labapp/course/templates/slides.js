// One slide at a time: keys, buttons, the place in the address (#7), and text that fits the screen.
"use strict";
const slides = [...document.querySelectorAll(".slide")];
const SMALLEST = 0.5, LARGEST = 1.5;
let place = 0;

function fit(slide) {
  const content = slide.querySelector(".content");
  const notes = slide.querySelector(".notes[open]");
  if (notes) notes.open = false; // they may be scrolled to; the slide itself must not need it
  let zoom = content.querySelector("img") ? 1 : LARGEST;
  const tooLarge = () => slide.scrollHeight > slide.clientHeight || slide.scrollWidth > slide.clientWidth;
  for (content.style.zoom = zoom; zoom > SMALLEST && tooLarge(); content.style.zoom = zoom) zoom -= 0.05;
  if (notes) notes.open = true;
}

function go(number, focus = true) {
  place = Math.max(0, Math.min(slides.length - 1, number));
  slides.forEach((slide, at) => slide.classList.toggle("current", at === place));
  document.getElementById("place").textContent = `${place + 1} / ${slides.length}`;
  document.getElementById("progress").value = place + 1;
  document.getElementById("back").disabled = place === 0;
  document.getElementById("on").disabled = place === slides.length - 1;
  history.replaceState(null, "", `#${place + 1}`);
  slides[place].scrollTop = 0;
  fit(slides[place]);
  if (focus) slides[place].focus({ preventScroll: true });
}

function notes() {
  const open = !document.querySelector(".current .notes[open]");
  document.querySelectorAll(".notes").forEach((note) => { note.open = open; });
}

const KEYS = {
  ArrowRight: () => go(place + 1), ArrowDown: () => go(place + 1), PageDown: () => go(place + 1),
  ArrowLeft: () => go(place - 1), ArrowUp: () => go(place - 1), PageUp: () => go(place - 1),
  Home: () => go(0), End: () => go(slides.length - 1), n: notes,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const onControl = event.target.closest("button, summary");
  const turn = event.key === " " && !onControl ? () => go(place + (event.shiftKey ? -1 : 1)) : KEYS[event.key];
  if (!turn) return;
  const slide = slides[place];
  const scrolls = slide.scrollHeight > slide.clientHeight; // with its notes open
  if (scrolls && (event.key === "ArrowDown" || event.key === "ArrowUp")) return;
  event.preventDefault();
  turn();
});
document.getElementById("back").addEventListener("click", () => go(place - 1, false));
document.getElementById("on").addEventListener("click", () => go(place + 1, false));
window.addEventListener("resize", () => fit(slides[place]));
window.addEventListener("hashchange", () => go(Number(location.hash.slice(1)) - 1 || 0));

document.documentElement.classList.add("deck");
go(Number(location.hash.slice(1)) - 1 || 0);
