"""The pathologist's verdict, on disk as soon as it is given."""

from __future__ import annotations

from nicegui import ui

from histodistill.errors import HistodistillError
from histodistill.viewer.reviews import Verdict
from histodistill.viewer.session import Session

_BUTTONS: dict[Verdict, tuple[str, str]] = {
    "agree": ("Agree", "a"),
    "disagree": ("Disagree", "d"),
    "not assessable": ("Not assessable", "x"),
}
# In the browser: what is typed next belongs to the remark, however slow the line is.
_FOCUS = """
document.addEventListener("keydown", (event) => {
  if (event.key !== "r" || event.ctrlKey || event.altKey || event.metaKey) return;
  if (["INPUT", "TEXTAREA"].includes(document.activeElement.tagName)) return;
  event.preventDefault();
  getElement(%d).$refs.qRef.focus();
});
"""
VERDICT_KEYS: dict[str, Verdict] = {key: verdict for verdict, (_, key) in _BUTTONS.items()}


class ReviewBar:
    """Three verdicts and a remark.

    Args:
        session: The viewer.
        number: Of the patient.
    """

    def __init__(self, session: Session, number: int) -> None:
        self._session, self._number = session, number
        patient = session.cohort.patients[number]
        before = session.latest_reviews().get(patient)
        self._verdict: Verdict = before.verdict if before else ""
        self._kept = before.remark if before else ""
        with ui.row().classes("bar w-full items-center gap-2 q-px-md q-py-xs"):
            self._buttons = {
                verdict: ui.button(
                    f"{label} ({key})", on_click=lambda verdict=verdict: self.give(verdict)
                ).mark(f"verdict-{key}")
                for verdict, (label, key) in _BUTTONS.items()
            }
            self._remark = ui.input(placeholder="Remark (r)", value=self._kept)
            self._remark.props("dense outlined maxlength=2000").classes("col").style(
                "min-width: 220px"
            ).mark("remark")
            self._remark.on("blur", self._remarked).on("keydown.enter", self._remarked)
            told = f"saved {_day(before.time)}" if before else f"reviewer: {session.reviewer}"
            self._told = ui.label(told).classes("faint figure text-no-wrap").mark("saved")
        ui.run_javascript(_FOCUS % self._remark.id)
        self._paint()

    def give(self, verdict: Verdict) -> None:
        """Save a verdict, with the remark as it stands."""
        self._save(verdict)

    def _remarked(self) -> None:
        if (self._remark.value or "") != self._kept:
            self._save(self._verdict)

    def _save(self, verdict: Verdict) -> None:
        remark = self._remark.value or ""
        try:
            self._session.save_review(self._number, verdict, remark)
        except (HistodistillError, OSError) as error:
            ui.notify(f"NOT saved: {error}", type="negative", timeout=0, close_button="Close")
            return
        self._verdict, self._kept = verdict, remark
        self._told.set_text(f"saved: {verdict or 'remark'}")
        self._paint()

    def _paint(self) -> None:
        for verdict, button in self._buttons.items():
            chosen = verdict == self._verdict
            button.props(remove="outline" if chosen else "unelevated")
            button.props(
                f"no-caps no-wrap padding='4px 12px' {'unelevated' if chosen else 'outline'}"
            )


def _day(time: str) -> str:
    """A time as it is written, to the minute."""
    return f"{time[:16].replace('T', ' ')} UTC"
