// The pointer on the stage: a start where it is, all the way as it is dragged; in 3-D a drag turns the relief.
const pointer = {
  held: null,

  listen(canvas) {
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      pointer.held = { x: event.offsetX, y: event.offsetY, camera: { ...page.state.camera }, moved: false };
      if (page.state.view === "contour") pointer.start(canvas, event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!pointer.held) return;
      const [dx, dy] = [event.offsetX - pointer.held.x, event.offsetY - pointer.held.y];
      pointer.held.moved ||= Math.hypot(dx, dy) > 4;
      if (page.state.view === "contour") pointer.start(canvas, event);
      else if (pointer.held.moved) pointer.turn(dx, dy);
    });
    canvas.addEventListener("pointerup", (event) => pointer.release(canvas, event));
    canvas.addEventListener("pointercancel", () => (pointer.held = null));
    canvas.addEventListener("wheel", pointer.zoom, { passive: false });
  },

  // After a drag the whole is seen already; after a click it is played.
  release(canvas, event) {
    const { held } = pointer;
    pointer.held = null;
    if (!held) return;
    if (page.state.view === "3d" && !held.moved) pointer.start(canvas, event);
    if (!held.moved && !page.data.stored) page.play();
  },

  start(canvas, event) {
    if (page.data.stored) return;
    const place = pointer.place(canvas, event.offsetX, event.offsetY);
    if (place) page.from(place.x, place.y);
  },

  // What is under a pixel, or null beside the surface.
  place(canvas, px, py) {
    const box = stage.box(canvas.clientWidth, canvas.clientHeight);
    const scene = page.here();
    if (page.state.view === "3d") return relief.pick(stage.view(box, scene, page.state), px, py);
    const { x, y } = stage.unproject(box, scene.grid, px, py);
    const inside = px >= box.left && px <= box.left + box.width && py >= box.top && py <= box.top + box.height;
    return inside ? { x, y } : null;
  },

  turn(dx, dy) {
    const { camera } = pointer.held;
    page.state.camera = {
      ...page.state.camera, azimuth: camera.azimuth - dx / 3, elevation: Math.min(85, Math.max(10, camera.elevation + dy / 3)),
    };
    page.asked();
  },

  zoom(event) {
    if (page.state.view !== "3d") return;
    event.preventDefault();
    const { camera } = page.state;
    page.state.camera = { ...camera, zoom: Math.min(4, Math.max(0.5, camera.zoom * Math.exp(-event.deltaY / 600))) };
    page.asked();
  },
};

addEventListener("error", (event) => {
  controls.by("error").hidden = false;
  controls.by("error").textContent = `This went wrong: ${event.message}`;
});
page.begin();
