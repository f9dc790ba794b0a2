// Tables that stay quick at 100,000 rows: sorted by their headers, filtered by text, drawn in pages, rows that open.
"use strict";

const PAGE = 100;
const compare = (a, b) => (typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0);

// columns: {title, value(row): what it sorts by, cell(row), numeric, sorts: false}; options: filter(row): text to search;
// detail(row): what the row opens to, or nothing; only: {label, test(row)}; sortBy: column, downwards where negative.
class PagedTable {
  constructor(label, columns, rows, options = {}) {
    Object.assign(this, {label, columns, rows, options, page: 0, open: new Set(), order: options.order ?? null});
    this.body = make("tbody");
    this.state = make("span", {role: "status", class: "muted"});
    this.heads = columns.map((column, at) => this.headOf(column, at));
    const table = make("table", null, make("caption", {class: "hidden"}, label), make("thead", null, make("tr", null, this.heads)),
                       this.body);
    this.back = button("Previous", () => this.turn(-1), {"aria-label": `${label}: previous page`});
    this.next = button("Next", () => this.turn(1), {"aria-label": `${label}: next page`});
    this.pager = make("div", {class: "tools pager"}, this.back, this.next);
    const scroll = make("div", {class: "scroll", role: "region", "aria-label": `${label}, table`, tabindex: 0}, table);
    this.element = make("div", {class: "table"}, this.tools(), scroll, this.pager);
    this.update();
  }

  headOf(column, at) {
    const content = column.sorts === false ? column.title : button(column.title, () => this.sortBy(at));
    return make("th", {scope: "col", class: column.numeric ? "number" : null}, content);
  }

  tools() {
    const tools = make("div", {class: "tools"});
    if (this.options.filter && this.rows.length > 1) {
      this.query = make("input", {type: "search", placeholder: "Filter", "aria-label": `Filter: ${this.label}`,
                                  oninput: () => this.restart()});
      tools.append(this.query);
    }
    if (this.options.only) {
      this.only = make("input", {type: "checkbox", onchange: () => this.restart()});
      tools.append(make("label", null, this.only, " ", this.options.only.label));
    }
    tools.append(this.state);
    return tools;
  }

  sortBy(at) {
    const same = this.order?.at === at;
    this.order = {at, down: same ? !this.order.down : Boolean(this.columns[at].numeric)};
    this.restart();
  }

  restart() {
    this.page = 0;
    this.update();
  }

  turn(by) {
    this.page += by;
    this.draw();
    this.element.scrollIntoView({block: "nearest"});
  }

  update() {
    const text = (this.query?.value ?? "").trim().toLowerCase();
    this.found = this.rows.filter((row) => (text === "" || this.options.filter(row).toLowerCase().includes(text)) &&
                                           (!this.only?.checked || this.options.only.test(row)));
    if (this.order !== null) {
      const {at, down} = this.order;
      const value = this.columns[at].value;
      this.found.sort((a, b) => (down ? compare(value(b), value(a)) : compare(value(a), value(b))));
    }
    this.heads.forEach((head, at) => {
      if (this.columns[at].sorts !== false) head.setAttribute("aria-sort", this.sortOf(at));
    });
    this.draw();
  }

  sortOf(at) {
    return this.order?.at !== at ? "none" : this.order.down ? "descending" : "ascending";
  }

  draw() {
    const first = this.page * PAGE;
    const rows = this.found.slice(first, first + PAGE);
    this.body.replaceChildren(...rows.flatMap((row) => this.rowOf(row)));
    const all = this.found.length === this.rows.length ? "" : ` (${count(this.rows.length)} in all)`;
    const range = this.found.length > PAGE ? `${count(first + 1)}–${count(first + rows.length)} of ` : "";
    this.state.textContent = `${range}${plural(this.found.length, "row")}${all}`;
    this.pager.hidden = this.found.length <= PAGE;
    this.back.disabled = first === 0;
    this.next.disabled = first + PAGE >= this.found.length;
  }

  rowOf(row) {
    const cells = this.columns.map((column) => make("td", {class: column.numeric ? "number" : null}, column.cell(row)));
    const line = make("tr", null, cells);
    if (!this.options.detail) return [line];
    const isOpen = this.open.has(row);
    const state = {class: "open", "aria-expanded": String(isOpen), "aria-label": this.options.opens(row)};
    const toggle = button("", () => this.toggle(row), state);
    cells[0].prepend(toggle);
    if (!isOpen) return [line];
    return [line, make("tr", {class: "detail"}, make("td", {colspan: this.columns.length}, this.options.detail(row)))];
  }

  toggle(row) {
    if (!this.open.delete(row)) this.open.add(row);
    this.draw();
    this.toggleOf(row)?.focus();
  }

  toggleOf(row) {
    const at = this.found.indexOf(row) - this.page * PAGE;
    return this.body.querySelectorAll("tr:not(.detail)")[at]?.querySelector("button.open");
  }

  // shows a row, whatever page it is on and whatever was filtered
  show(row) {
    if (this.query) this.query.value = "";
    if (this.only) this.only.checked = false;
    this.open.add(row);
    this.update();
    this.page = Math.floor(this.found.indexOf(row) / PAGE);
    this.draw();
    return this.options.detail ? this.toggleOf(row) : this.lineOf(row);
  }

  lineOf(row) {
    const line = this.body.children[this.found.indexOf(row) - this.page * PAGE];
    line?.setAttribute("tabindex", -1);
    return line;
  }
}
