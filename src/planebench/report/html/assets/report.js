// Draws the report's charts, gives them the page's colours, and works its buttons. Needs Bokeh; asks no server.
(() => {
  "use strict";
  const root = document.documentElement;
  const themes = ["system", "light", "dark"];
  const drawn = [];
  Bokeh.logger.set_level("warn");

  // --- colours: models name CSS variables in their tags ---

  const probe = document.body.appendChild(Object.assign(document.createElement("i"), { hidden: true }));
  let known = new Map();

  function resolve(name) {
    if (!known.has(name)) {
      probe.style.color = `var(${name})`;
      known.set(name, getComputedStyle(probe).color);
    }
    return known.get(name);
  }

  function paint(views) {
    for (const view of views) {
      for (const model of view.model.references()) {
        for (const tag of model.tags ?? []) {
          for (const [attribute, name] of Object.entries(tag?.colors ?? {})) {
            model[attribute] = resolve(name);
          }
        }
      }
    }
  }

  function repaint() {
    known = new Map();
    for (const chart of drawn) paint(chart.views);
  }

  // --- charts: one at a time, first what is in sight, then in the order of the page ---

  const waiting = [...document.querySelectorAll("script.chart")];

  function isNear(script) {
    const { top, bottom } = document.getElementById(script.dataset.into).getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  }

  async function draw(script) {
    const { document: json, roots } = JSON.parse(script.textContent);
    script.remove();
    const id = crypto.randomUUID?.() ?? String(Math.random());
    const managers = await Bokeh.embed.embed_items({ [id]: json }, [{ docid: id, roots, root_ids: Object.keys(roots) }]);
    const views = managers.flatMap((manager) => [...manager]).filter((view) => view.model.id in roots);
    const chart = { views, roots };
    paint(views);
    drawn.push(chart);
    narrow(chart);
    for (const element of Object.values(roots)) pass(element);
  }

  // A chart does nothing on the keyboard's behalf that its legend and buttons do not: it is no stop of its own.
  function pass(element) {
    const canvas = document.getElementById(element).firstElementChild?.shadowRoot?.querySelector(".bk-Canvas");
    canvas?.shadowRoot?.querySelector(".bk-events")?.setAttribute("tabindex", "-1");
  }

  // --- legends ---

  for (const chip of document.querySelectorAll(".chip")) {
    chip.addEventListener("click", () => {
      const shown = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", String(shown));
      for (const model of models(chip.dataset.series)) model.visible = shown;
    });
  }

  function* models(name) {
    for (const { views } of drawn) {
      for (const view of views) {
        for (const model of view.model.references()) if (model.name === name) yield model;
      }
    }
  }

  // --- the time axis ---

  for (const tools of document.querySelectorAll(".tools")) {
    tools.hidden = false;
    tools.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      const axis = button && models(tools.dataset.axis).next().value;
      if (!axis) return;
      const [least, most] = axis.bounds;
      const length = axis.end - axis.start;
      const middle = (axis.start + axis.end) / 2;
      const to = {
        in: () => [middle - length / 4, middle + length / 4],
        out: () => [middle - length, middle + length],
        left: () => [axis.start - length / 2, axis.end - length / 2],
        right: () => [axis.start + length / 2, axis.end + length / 2],
        all: () => [least, most],
      }[button.dataset.move] ?? (() => around(Number(button.dataset.from), Number(button.dataset.to)));
      show(axis, ...to());
    });
  }

  function around(start, end) {
    const margin = (end - start) * 0.04;
    return [start - margin, end + margin];
  }

  function show(axis, start, end) {
    const [least, most] = axis.bounds;
    const length = Math.min(Math.max(end - start, axis.min_interval ?? 0), most - least);
    const from = Math.min(Math.max(start, least), most - length);
    axis.setv({ start: from, end: from + length });
  }

  // --- narrow screens have numbers where wide ones have names ---

  function narrow(chart) {
    const small = innerWidth < 720;
    for (const view of chart.views) {
      for (const model of view.model.references()) {
        if (model.name === "wide") model.visible = !small;
        if (model.name === "narrow") model.visible = small;
      }
    }
  }
  addEventListener("resize", () => drawn.forEach(narrow));

  // --- theme ---

  const button = document.getElementById("theme");
  let theme = "system";
  try {
    theme = themes.includes(localStorage.getItem("planebench-theme")) ? localStorage.getItem("planebench-theme") : theme;
  } catch { /* a browser that keeps nothing for files */ }

  function choose(chosen) {
    theme = chosen;
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
    button.querySelector("span").textContent = theme;
    repaint();
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    choose(themes[(themes.indexOf(theme) + 1) % themes.length]);
    try { localStorage.setItem("planebench-theme", theme); } catch { /* as above */ }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  choose(theme);

  // --- paper: light copies of all charts that scale with the page ---

  addEventListener("beforeprint", () => {
    const before = root.dataset.theme;
    root.dataset.theme = "light";
    repaint();
    for (const { views, roots } of drawn) {
      for (const view of views) copy(view, document.getElementById(roots[view.model.id]));
    }
    if (before) root.dataset.theme = before;
    else delete root.dataset.theme;
  });
  addEventListener("afterprint", () => {
    for (const element of document.querySelectorAll(".canvas.copied")) {
      element.classList.remove("copied");
      element.querySelector(".print-copy").remove();
    }
    repaint();
  });

  function copy(view, element) {
    element.querySelector(".print-copy")?.remove();
    view.repaint?.();
    const { canvas } = view.export("png");
    const copied = element.appendChild(document.createElement("canvas"));
    copied.className = "print-copy";
    copied.width = canvas.width;
    copied.height = canvas.height;
    copied.getContext("2d").drawImage(canvas, 0, 0);
    element.classList.add("copied");
  }

  // --- start ---

  async function start() {
    while (waiting.length) {
      const sought = waiting.findIndex(isNear);
      await draw(...waiting.splice(Math.max(sought, 0), 1));
      if (drawn.length === 1) performance.mark("planebench-first-chart");
      await new Promise((resolved) => setTimeout(resolved)); // whatever the reader does comes first
    }
    root.dataset.drawn = String(drawn.length);
    performance.mark("planebench-all-charts");
  }
  start();
})();
