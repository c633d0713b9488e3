// Search. In: INDEX (search-index.js) and the words after ?q=. Out: the sections that hold them all, best first.
const asked = new URLSearchParams(location.search).get("q") || "";
const words = asked.toLowerCase().split(/\s+/).filter(Boolean);
const title = (entry) => entry.page + (entry.section ? " › " + entry.section : "");
const worth = (entry) => words.filter((word) => title(entry).toLowerCase().includes(word)).length;

function excerpt(text) {
  const at = Math.max(0, text.toLowerCase().indexOf(words[0]) - 60);
  return (at ? "…" : "") + text.slice(at, at + 200) + (text.length > at + 200 ? "…" : "");
}

function shown(entry) {
  const item = document.createElement("li");
  const link = item.appendChild(document.createElement("a"));
  link.href = entry.url;
  link.textContent = title(entry);
  item.appendChild(document.createElement("p")).textContent = excerpt(entry.text);
  return item;
}

const best = new Map();  // one result an address: the one with most text
for (const entry of INDEX) {
  const held = (title(entry) + " " + entry.text).toLowerCase();
  if (words.length && words.every((word) => held.includes(word))) {
    const other = best.get(entry.url);
    if (!other || other.text.length < entry.text.length) best.set(entry.url, entry);
  }
}
const found = [...best.values()].sort((a, b) => worth(b) - worth(a));
document.getElementById("found").append(...found.map(shown));
document.getElementById("said").textContent =
  words.length ? `${found.length} sections hold: ${words.join(" ")}` : "Type words into the field and press Enter.";
document.querySelector('input[name="q"]').value = asked;
