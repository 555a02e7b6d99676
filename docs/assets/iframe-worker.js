// Browsers start no worker on a page that was opened from a file. There, the search runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.frame = frame.contentWindow;
      window.addEventListener("message", (event) => {
        if (event.source === this.frame) {
          this.dispatchEvent(new MessageEvent("message", { data: event.data }));
        }
      });
      const inner = this.frame.document;
      inner.open();
      inner.write("<!doctype html><body></body>");
      inner.close();
      const load = (source) =>
        new Promise((resolve, reject) => {
          const script = inner.createElement("script");
          script.src = source;
          script.onload = resolve;
          script.onerror = () => reject(new Error(`${source} cannot be loaded`));
          inner.body.append(script);
        });
      this.frame.importScripts = async (...sources) => {
        for (const source of sources) {
          await load(source);
        }
      };
      // A script in the frame must post the message itself: its window is the source that is checked above.
      const post = inner.createElement("script");
      post.textContent = "postMessage = (data) => parent.postMessage(data, '*')";
      inner.body.append(post);
      this.loaded = load(String(address));
    }

    postMessage(data) {
      this.loaded.then(() => this.frame.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.frameElement.remove();
    }
  };
}
