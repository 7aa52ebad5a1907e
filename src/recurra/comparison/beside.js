"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
if (data) {
  const find = (id) => document.getElementById(id);
  const one = find("one"), other = find("other");
  data.runs.forEach((name, at) => {
    one.add(new Option(name, at));
    other.add(new Option(name, at));
  });
  other.value = "1";
  let here = null;
  const spans = data.symbols.map((symbol, at) => {
    const span = document.createElement("span");
    span.textContent = symbol;
    span.addEventListener("click", () => tell(at));
    find("symbols").append(span);
    return span;
  });
  const nats = (run, at) => data.surprises[Number(run.value)][at];
  const known = (at) => nats(one, at) !== null && nats(other, at) !== null;
  const mean = (run) => {
    const all = data.symbols.map((_, at) => at).filter(known).map((at) => nats(run, at));
    return all.length ? all.reduce((sum, value) => sum + value, 0) / all.length : 0;
  };
  const named = (run) => data.runs[Number(run.value)];
  function paint() {
    spans.forEach((span, at) => {
      const gap = known(at) ? nats(one, at) - nats(other, at) : 0;
      const share = (0.85 * Math.min(1, Math.abs(gap) / 3)).toFixed(3);
      span.style.background = `rgba(${gap > 0 ? "230,120,0" : "40,120,220"},${share})`;
    });
    find("totals").textContent = `Mean surprise here: ${named(one)} ${mean(one).toFixed(3)} nats, ${named(other)} ${mean(other).toFixed(3)} nats.`;
    if (here !== null) tell(here);
  }
  function tell(at) {
    if (here !== null) spans[here].classList.remove("here");
    here = at;
    spans[at].classList.add("here");
    const told = [one, other].map((run) => {
      const value = nats(run, at), said = data.said[Number(run.value)][at];
      const cost = value === null ? "not known" : `${value.toFixed(2)} nats`;
      return `${named(run)}: ${cost}${said ? `, said ${JSON.stringify(said)}` : ""}`;
    });
    const right = data.wanted[at] ? `, right is ${JSON.stringify(data.wanted[at])}` : "";
    find("told").textContent = `${JSON.stringify(data.symbols[at])}${right}. ${told.join("; ")}.`;
  }
  one.addEventListener("change", paint);
  other.addEventListener("change", paint);
  paint();
}
