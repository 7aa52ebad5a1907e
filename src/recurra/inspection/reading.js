"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
if (data) {
  const RIGHT = "right and wrong", SPEAKS = "what speaks for the answer";
  const find = (id) => document.getElementById(id);
  const places = Object.keys(data.units);
  for (const place of places) {
    const unit = data.units[place];
    unit.values = Uint8Array.from(atob(unit.bytes), (letter) => letter.charCodeAt(0));
  }
  const color = find("color"), unit = find("unit"), step = find("step");
  for (const name of [...data.colors, ...places]) color.add(new Option(name, name));
  const spans = data.symbols.map((symbol, at) => {
    const span = document.createElement("span");
    span.textContent = symbol;
    span.addEventListener("click", () => { step.value = at; tell(); });
    find("symbols").append(span);
    return span;
  });
  for (const at of data.unknown) spans[at].classList.add("unknown");
  step.max = Math.max(spans.length - 1, 0);
  const shade = (share, warm) => `rgba(${warm ? "230,120,0" : "40,120,220"},${(0.85 * Math.min(1, share)).toFixed(3)})`;
  function paint() {
    const chosen = data.units[color.value];
    unit.disabled = !chosen;
    unit.max = chosen ? chosen.units - 1 : 0;
    find("unit-said").textContent = chosen ? unit.value : "";
    const value = (at) => {
      if (chosen) return chosen.values[Number(unit.value) * spans.length + at] / 127.5 - 1;
      if (color.value === SPEAKS) return data.speaks[at];
      return data.surprises[at] === null ? 0 : data.surprises[at] / 6;
    };
    spans.forEach((span, at) => {
      if (color.value === RIGHT) {
        const fine = data.right[at];
        span.style.background = fine === null ? "none" : fine ? "rgba(20,140,70,0.35)" : "rgba(210,30,50,0.55)";
        return;
      }
      const size = value(at);
      span.style.background = shade(Math.abs(size), size > 0);
    });
  }
  let here = null;
  function tell() {
    if (here) here.classList.remove("here");
    here = spans[Number(step.value)];
    if (!here) return;
    here.classList.add("here");
    const nats = data.surprises[Number(step.value)];
    find("told").textContent = data.told[Number(step.value)] + (nats === null ? "" : ` It cost ${nats.toFixed(2)} nats.`);
  }
  color.addEventListener("change", paint);
  unit.addEventListener("input", paint);
  step.addEventListener("input", tell);
  for (const button of document.querySelectorAll("#followers button")) {
    button.addEventListener("click", () => {
      color.value = button.dataset.place;
      paint();
      unit.value = button.dataset.unit;
      paint();
      find("symbols").scrollIntoView({ block: "nearest" });
    });
  }
  paint();
  tell();
}
