"use strict";

/* Refreshes the live page: fetches the part that changes, and changes what differs. What has the focus, is open,
   scrolled or selected stays so, because elements are changed in place. */

{
    const EVERY = 2000; // milliseconds
    const LONGEST = 30000; // between tries while nobody answers
    const PATIENCE = 15000; // for one answer

    const bar = document.getElementById("leek-refreshing");
    const button = bar.querySelector("button");
    const notice = bar.querySelector("[role=alert]");
    const words = bar.dataset;

    let isPaused = false;
    let isAsking = false;
    let failures = 0;
    let timer = null;

    const keyOf = (node) => node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "";

    const isAlike = (one, other) => one.nodeName === other.nodeName && keyOf(one) === keyOf(other);

    const isSelected = (node) => {
        const selection = document.getSelection();
        return selection.rangeCount > 0 && !selection.isCollapsed && selection.containsNode(node, true);
    };

    const changeAttributes = (old, wanted) => {
        for (const { name } of [...old.attributes]) {
            const isReaders = name === "open"; // which details the reader has opened
            if (!wanted.hasAttribute(name) && !isReaders) old.removeAttribute(name);
        }
        for (const { name, value } of wanted.attributes) {
            if (old.getAttribute(name) !== value) old.setAttribute(name, value);
        }
    };

    const change = (old, wanted) => {
        if (old.isEqualNode(wanted)) return;
        if (old.nodeType !== Node.ELEMENT_NODE) {
            if (!isSelected(old)) old.nodeValue = wanted.nodeValue;
            return;
        }
        changeAttributes(old, wanted);
        changeChildren(old, wanted);
    };

    const changeChildren = (old, wanted) => {
        const children = [...wanted.childNodes];
        const kept = new Set(children.map(keyOf));
        for (const child of [...old.childNodes]) {
            if (!kept.has(keyOf(child))) child.remove(); // first, so that nothing has to be moved for its sake
        }
        const keyed = new Map([...old.childNodes].filter(keyOf).map((child) => [keyOf(child), child]));
        let place = old.firstChild;
        for (const child of children) {
            const found = keyed.get(keyOf(child)) ?? (place && !keyOf(place) ? place : null);
            if (!found || !isAlike(found, child)) {
                old.insertBefore(child, place);
                continue;
            }
            if (found === place) place = place.nextSibling;
            else old.insertBefore(found, place);
            change(found, child);
        }
        while (place) {
            const next = place.nextSibling;
            place.remove();
            place = next;
        }
    };

    const say = (text) => {
        if (notice.textContent !== text) notice.textContent = text;
        bar.classList.toggle("leek-stale", text !== "");
    };

    const show = (text) => {
        const part = new DOMParser().parseFromString(text, "text/html").getElementById("leek-live");
        if (!part) throw new Error("this is not the live page");
        const focused = document.activeElement;
        const section = focused.closest("section");
        change(document.getElementById("leek-live"), document.adoptNode(part));
        if (section && !focused.isConnected) section.focus({ preventScroll: true }); // its row has gone
    };

    const ask = async () => {
        const answer = await fetch(words.address, {
            credentials: "same-origin",
            redirect: "manual",
            cache: "no-store",
            signal: AbortSignal.timeout(PATIENCE),
        });
        if (answer.type === "opaqueredirect" || answer.status === 403) return false;
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        const text = await answer.text();
        if (!isPaused) show(text);
        return true;
    };

    const refresh = async () => {
        if (isAsking) return;
        isAsking = true;
        try {
            if (await ask()) {
                failures = 0;
                say("");
            } else {
                failures += 1;
                say(words.refused);
            }
        } catch {
            failures += 1;
            say(words.lost);
        }
        isAsking = false;
        plan(Math.min(EVERY * 2 ** Math.min(failures, 4), LONGEST));
    };

    const plan = (milliseconds) => {
        clearTimeout(timer);
        if (!isPaused && !document.hidden) timer = setTimeout(refresh, milliseconds);
    };

    const choose = (pause) => {
        isPaused = pause;
        button.textContent = isPaused ? words.resume : words.pause;
        if (isPaused) say("");
        plan(0);
    };

    button.addEventListener("click", () => choose(!isPaused));
    document.addEventListener("visibilitychange", () => plan(0));
    window.addEventListener("online", () => plan(0));
    button.textContent = words.pause;
    bar.hidden = false;
    plan(EVERY);
}
