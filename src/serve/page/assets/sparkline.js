// A small line in an SVG, from zero up: a fall to nothing looks like one.

const WIDTH = 180;
const HEIGHT = 32;
const SVG = "http://www.w3.org/2000/svg";

export function sparkline() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const part of ["area", "line"]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", part);
    svg.append(path);
  }
  return svg;
}

/** Draws `values`, the newest at the right edge, `places` of them over the whole width. */
export function draw(svg, values, places) {
  const top = Math.max(...values.map((value) => value ?? 0), 1) * 1.12;
  const step = WIDTH / (places - 1);
  const first = places - values.length;
  let line = "";
  let area = "";
  let start = null;
  values.forEach((value, i) => {
    const x = ((first + i) * step).toFixed(1);
    if (value === null) {
      if (start !== null) area += `V${HEIGHT}H${start}Z`;
      start = null;
      return;
    }
    const y = (HEIGHT - 1 - (value / top) * (HEIGHT - 2)).toFixed(1);
    area += start === null ? `M${x} ${HEIGHT}V${y}` : `L${x} ${y}`;
    line += start === null ? `M${x} ${y}` : `L${x} ${y}`;
    start ??= x;
  });
  if (start !== null) area += `V${HEIGHT}H${start}Z`;
  const [shade, stroke] = svg.children;
  shade.setAttribute("d", area);
  stroke.setAttribute("d", line);
}
