"""Operations: stops of whole workflows, the rules by which runs begin, incidents, roll back and retire."""
