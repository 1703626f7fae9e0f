from .draft import Draft as Draft, draft_experiment as draft_experiment
from .given import Given as Given
