// Live availability while typing. Without this file the form asks the server and the page shows the same answer.
"use strict";
(() => {
  const field = document.querySelector("input[data-check]");
  const answer = document.getElementById("answer");
  const sentences = document.getElementById("sentences");
  let timer, running;

  const show = (state, text, reasons) => {
    answer.className = "answer " + state;
    answer.replaceChildren(document.createTextNode(text));
    if (reasons.length === 0) return;
    const list = document.createElement("ul");
    for (const reason of reasons) {
      const item = document.createElement("li");
      item.textContent = sentences.getAttribute("data-" + reason) || reason;
      list.append(item);
    }
    answer.append(list);
  };

  const ask = async (name) => {
    running?.abort();
    running = new AbortController();
    try {
      const reply = await fetch("/api/usernames/" + encodeURIComponent(name), { signal: running.signal });
      if (!reply.ok) throw new Error(reply.status);
      const { status, reasons } = await reply.json();
      if (field.value.trim() !== name) return;
      field.setAttribute("aria-invalid", String(status !== "available"));
      if (status === "available") show("available", "“" + name + "” is available.", []);
      else show(status, "“" + name + "” cannot be used:", reasons);
    } catch (error) {
      if (error.name !== "AbortError") show("unsure", "Cannot check just now. Try again in a moment.", []);
    }
  };

  if (field && answer && sentences) {
    const check = () => {
      clearTimeout(timer);
      const name = field.value.trim();
      if (name === "" || name === "." || name === "..") { running?.abort(); field.removeAttribute("aria-invalid"); show("", "", []); return; }
      show("asking", "Checking…", []);
      timer = setTimeout(ask, 150, name);
    };
    field.addEventListener("input", check);
    if (field.value.trim() !== "" && answer.textContent.trim() === "") check();
  }

  navigator.serviceWorker?.register("/sw.js").catch(() => {});
})();
