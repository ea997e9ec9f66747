"""What to calibrate an export with: a folder of pictures, and questions about them."""

from pathlib import Path

from ros2_llava_phi.assistant.question import Kind, Question, request_text
from ros2_llava_phi.engine.gptq import LEAST_PROMPTS, Prompt
from ros2_llava_phi.errors import ModelError, QuestionError, counted
from ros2_llava_phi.imaging.pictures import read_picture
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.image import preprocess
from ros2_llava_phi.model.prompt import after_picture

PICTURES = ('.jpg', '.jpeg', '.png')
QUESTIONS_FILE = 'questions.txt'
QUESTIONS = (
    'Describe what you see.',
    'Is there a person in front?',
    'How many vehicles are there?',
    'What is straight ahead?',
    'What colour is the nearest object?',
    'Is the way ahead free?',
    'Where was this picture taken?',
    'What is on the left?',
)


def folder_prompts(folder: Path, config: ModelConfig) -> list[Prompt]:
    """
    Return a prompt for every picture in a folder (.jpg, .jpeg, .png), by name.

    The questions are those of questions.txt, one a line, or some about anything; they go around,
    and every other one asks for a single word.

    Raises ModelError or QuestionError if there are too few pictures or no questions, FrameError
    if a picture cannot be read.
    """
    if not folder.is_dir():
        raise ModelError(f'there is no folder {folder}; give one with pictures to calibrate with')
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    if len(paths) < LEAST_PROMPTS:
        raise ModelError(
            f'{folder} holds {counted(len(paths), "picture")} ({", ".join(PICTURES)}); '
            f'calibration needs {LEAST_PROMPTS} or more'
        )
    prompts = []
    questions, kinds = _questions(folder), (Kind.FREE_TEXT, Kind.YES_NO)
    for i, path in enumerate(paths):
        rounds, place = divmod(i, len(questions))
        text, kind = questions[place], kinds[(rounds + place) % 2]
        pixels = preprocess(read_picture(path), config)
        prompts.append(Prompt(pixels, after_picture(request_text(Question(text, kind)))))
    return prompts


def _questions(folder: Path) -> list[str]:
    path = folder / QUESTIONS_FILE
    if not path.is_file():
        return list(QUESTIONS)
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise QuestionError(f'{path} is no text in UTF-8: {error}') from error
    if questions := [line.strip() for line in lines if line.strip()]:
        return questions
    raise QuestionError(f'{path} holds no question; write one a line, or remove it')
