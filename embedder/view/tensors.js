// The tensors' table: what each holds, how its values are spread, and a warning where they are no numbers.
"use strict";

const least = (number) => number ?? -Infinity;
const zeroShare = (tensor) => (tensor.statistics === null ? -1 : ratio(tensor.statistics.zeros, tensor.statistics.elements));
const isOdd = (tensor) => tensor.statistics !== null && tensor.statistics.nan + tensor.statistics.infinite > 0;

function warningOf({nan, infinite}) {
  const words = [...(nan > 0 ? [`${count(nan)} NaN`] : []), ...(infinite > 0 ? [`${count(infinite)} infinite`] : [])].join(", ");
  return make("strong", {class: "warn"}, make("span", {"aria-hidden": "true"}, "⚠ "), words);
}

function barsPath(counts, width, height) {
  const most = Math.max(...counts, 1);
  const step = width / counts.length;
  return counts.map((value, at) => {
    const high = value === 0 ? 0 : Math.max(1, height * value / most);
    const [x, wide, up] = [at * step, step * 0.88, high].map((number) => number.toFixed(2));
    return high === 0 ? "" : `M${x} ${height}v-${up}h${wide}v${up}z`;
  }).join("");
}

function smallHistogram({counts}) {
  const bars = svg("path", {d: barsPath(counts, 100, 20), class: "bars"});
  return svg("svg", {viewBox: "0 0 100 20", class: "spark", "aria-hidden": "true"}, bars);
}

function histogramWords({counts, low, high}) {
  const all = counts.reduce((sum, value) => sum + value, 0);
  const at = counts.indexOf(Math.max(...counts));
  const step = (high - low) / counts.length;
  return `${plural(all, "value")} in ${counts.length} equal ranges from ${real(low)} to ${real(high)}; the fullest, ` +
    `${real(low + at * step)} to ${real(low + (at + 1) * step)}, holds ${percent(ratio(counts[at], all))}.`;
}

function histogram(statistics) {
  const {counts, low, high} = statistics;
  if (counts.length === 0) return make("p", {class: "muted"}, "No histogram: no finite values.");
  const words = histogramWords(statistics);
  const [width, height] = [600, 130];
  const picture = svg("svg", {viewBox: `-8 -6 ${width + 16} ${height + 32}`, role: "img", "aria-label": words, class: "histogram"},
                      svg("path", {d: barsPath(counts, width, height), class: "bars"}),
                      svg("path", {d: `M0 ${height + 0.5}H${width}`, class: "axis"}),
                      svg("text", {x: 0, y: height + 18}, real(low)),
                      svg("text", {x: width, y: height + 18, class: "end"}, real(high)));
  if (low < 0 && high > 0) {
    const zero = width * -low / (high - low);
    picture.append(svg("path", {d: `M${zero} ${height}v6`, class: "axis"}));
    if (zero > 60 && zero < width - 60) picture.append(svg("text", {x: zero, y: height + 18, class: "middle"}, "0"));
  }
  return make("figure", null, picture, make("figcaption", {class: "muted"}, words));
}

function tensorDetail(row) {
  const {tensor, index} = row;
  const {statistics} = tensor;
  const node = nodeOfTensor(index);
  const pairs = [["Name", named(tensor.name)], ["Values", make("bdi", null, valueText(tensor))],
                 ["Stored", [size(tensor.stored_bytes), ` of `, size(tensor.bytes), `, ${shown(tensor.codec)}`]],
                 ["In the graph", node === null ? null : goLink("node", node, named(report.graph.nodes[node].name))]];
  const none = () => make("p", {class: "muted"}, "No statistics for this tensor.");
  if (statistics === null) return make("div", {class: "opened"}, facts(pairs), none());
  pairs.push(["Elements", count(statistics.elements)], ["Smallest", real(statistics.min)], ["Largest", real(statistics.max)],
             ["Mean", real(statistics.mean)], ["Zeros", `${count(statistics.zeros)}, ${percent(zeroShare(tensor))}`],
             ["NaN, infinite", isOdd(tensor) ? warningOf(statistics) : "none"]);
  return make("div", {class: "opened"}, facts(pairs), histogram(statistics));
}

const STATISTIC = (title, key) => ({title, numeric: true, value: ({tensor}) => least(tensor.statistics?.[key]),
                                    cell: ({tensor}) => real(tensor.statistics?.[key])});
const TENSOR_COLUMNS = [
  {title: "Name", value: ({tensor}) => tensor.name,
   cell: ({tensor}) => [brief(tensor.name),
                        ...(isOdd(tensor) ? [" ", warningOf(tensor.statistics)] : [])]},
  {title: "Type", value: ({tensor}) => tensor.dtype, cell: ({tensor}) => brief(tensor.dtype)},
  {title: "Shape", value: ({tensor}) => tensor.shape.reduce((product, side) => product * side, 1), numeric: true,
   cell: ({tensor}) => shapeText(tensor.shape)},
  {title: "Size", numeric: true, value: ({tensor}) => tensor.bytes, cell: ({tensor}) => size(tensor.bytes)},
  {title: "Stored", numeric: true, value: ({tensor}) => tensor.stored_bytes, cell: ({tensor}) => size(tensor.stored_bytes)},
  {title: "Codec", value: ({tensor}) => tensor.codec, cell: ({tensor}) => brief(tensor.codec)},
  STATISTIC("Min", "min"), STATISTIC("Max", "max"), STATISTIC("Mean", "mean"),
  {title: "Zeros", numeric: true, value: ({tensor}) => zeroShare(tensor),
   cell: ({tensor}) => (tensor.statistics === null ? "–" : percent(zeroShare(tensor)))},
  {title: "Values", sorts: false,
   cell: ({tensor}) => ((tensor.statistics?.counts.length ?? 0) === 0 ? "" : smallHistogram(tensor.statistics))},
];

function showTensors(section) {
  const rows = report.tensors.map((tensor, index) => ({tensor, index}));
  if (rows.length === 0) return nothing(section, "No tensors in this bundle.");
  const odd = rows.filter(({tensor}) => isOdd(tensor)).length;
  const table = new PagedTable("Tensors", TENSOR_COLUMNS, rows, {
    filter: ({tensor}) => `${tensor.name} ${tensor.dtype} ${tensor.codec}`, detail: tensorDetail,
    opens: ({tensor}) => `Values of ${isolated(tensor.name)}`,
    only: odd === 0 ? null : {label: `only those with NaN or infinity (${count(odd)})`, test: ({tensor}) => isOdd(tensor)},
  });
  section.append(table.element);
  go.tensor = (index) => reveal("tensors", table.show(rows[index]));
  go.oddTensors = () => {
    table.only.checked = true;
    table.restart();
    reveal("tensors", table.only);
  };
}
