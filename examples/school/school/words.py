"""What the sample data is made of."""

from __future__ import annotations

from typing import Final

FIRST_NAMES: Final = (
    *("Ada", "Amir", "Anna", "Ben", "Carla", "Chen", "Clara", "Daniel", "Elif", "Emil", "Emma", "Farid", "Felix"),
    *("Finn", "Greta", "Hana", "Ida", "Ines", "Jakob", "Jana", "Jonas", "Kofi", "Lea", "Lena", "Leo", "Lina", "Luis"),
    *("Maja", "Malik", "Marie", "Max", "Mila", "Mira", "Nina", "Noah", "Nora", "Oskar", "Paul", "Pia", "Rosa", "Ruth"),
    *("Sami", "Sara", "Sofia", "Tariq", "Theo", "Tom", "Yara", "Zoe"),
)
LAST_NAMES: Final = (
    *("Adler", "Bauer", "Becker", "Berg", "Braun", "Costa", "Demir", "Dietrich", "Fischer", "Fuchs", "Garcia", "Haas"),
    *("Hansen", "Hoffmann", "Horn", "Jansen", "Kaya", "Keller", "Klein", "Koch", "Kowalski", "Kraus", "Lang", "Lopez"),
    *("Mayer", "Mensah", "Nguyen", "Novak", "Okafor", "Peters", "Petrov", "Rossi", "Roth", "Sato", "Schmidt", "Silva"),
    *("Sommer", "Stein", "Tanaka", "Vogel", "Wagner", "Weber", "Winter", "Wolf", "Yilmaz", "Zimmermann"),
)
SUBJECTS: Final = (
    *("Art", "Biology", "Chemistry", "English", "French", "Geography", "History", "Informatics", "Mathematics"),
    *("Music", "Physics", "Sports"),
)
CLUBS: Final = ("Chess", "Choir", "Debating", "Gardening", "Robotics", "School paper", "Theatre", "Volleyball")
NOTES: Final = (
    "Asks good questions and could speak up more.",
    "Changed the seat in spring; concentrates better since.",
    "Helps others without being asked.",
    "Needs glasses for the blackboard; please ask.",
    "Reads far above the class; give harder texts.",
    "Talk to the parents about the homework.",
    "Very quiet since the move. Keep an eye on it.",
)
REMARKS: Final = {
    1: "Not handed in.",
    2: "The basics are missing; see me about extra lessons.",
    3: "A beginning. Practise with the exercises of chapter 4.",
    4: "Sound work.",
    5: "Good, with clear reasons throughout.",
    6: "Excellent, and a pleasure to read.",
}
HEADLINES: Final = {
    "news": ("The new library is open", "Half term begins on Friday", "Roof of the gym repaired", "Lost and found"),
    "events": ("Summer concert", "Open day", "Science fair", "Parents' evening", "Excursion to the museum"),
    "sports": ("Handball: a close final", "Running day", "Swimming certificates", "The chess team wins again"),
    "canteen": ("A new menu", "Vegetarian week", "Breakfast from seven", "Please bring your own cup"),
}
SENTENCES: Final = (
    "Everybody is welcome, with or without a ticket.",
    "The rooms are shown on the board beside the entrance.",
    "Please tell your class teacher by Wednesday if you want to take part.",
    "Thanks to all who helped to carry chairs.",
    "Photographs hang in the corridor of the second floor.",
    "If it rains, we meet in the hall.",
    "The buses leave at a quarter past eight and do not wait.",
    "Questions are answered by the office between nine and twelve.",
    "Last year more than three hundred students came.",
    "Bring something to write, something to eat and a coat.",
    "Places are given in the order in which you ask.",
    "The parents' association has baked for everybody.",
)
